// Package racs speaks the Remote APDU Call Secure protocol
// (draft-urien-core-racs), a line protocol over mutually authenticated TLS:
// its words ([Status], [Verb], the limits) and the [Client]. The server's side
// is in package server below this one.
//
// A request is BEGIN, commands, END; its answer has the results in a frame of
// the same shape:
//
//	BEGIN r1                         BEGIN r1
//	POWERON soft1                    +006 002 6F10...9000
//	APDU soft1 00A4040000            END
//	END
//
// A result line carries a sign, a class, a code, the line of the request that
// it answers, and data or words. APPEND as the last token of a command keeps
// its result in the answer; the last executed command's is always there. The
// first error ends the request.
package racs

import (
	"fmt"
	"strconv"
)

// Version is the version of RACS that is spoken here.
const Version = "0.3"

// The limits of a request and of its answer. A server answers what goes over
// one with an error and executes nothing past it.
const (
	MaxName     = 64      // bytes of a request's name
	MaxLine     = 196608  // bytes of a line without its end
	MaxCommands = 4096    // commands in a request
	MaxAnswer   = 1 << 20 // bytes of an answer
)

// Class is the first digit of a status: with the sign '-', what kind of error
// it is. The only class with '+' is [NoError].
type Class uint8

// The classes of errors. The value is the digit.
const (
	ExecutionError Class = 0 // with '+', no error
	UnknownCommand Class = 1
	NotImplemented Class = 2
	Illegal        Class = 3 // cannot be executed now
	NotSupported   Class = 4 // parameter value not supported
	SyntaxError    Class = 5 // or a parameter is missing
	Unauthorized   Class = 6
	InUse          Class = 7 // by another session
	HardwareError  Class = 8
	SystemError    Class = 9
)

var classNames = [...]string{
	"execution error", "unknown command", "not implemented", "cannot be executed now", "parameter value not supported",
	"syntax error", "unauthorized", "in use by another session", "hardware error", "system error",
}

// String says the class in words.
func (c Class) String() string {
	if int(c) < len(classNames) {
		return classNames[c]
	}
	return fmt.Sprintf("class %d", uint8(c))
}

// Verb is a command of RACS; its value is the command's code in a status.
type Verb uint8

// The verbs with their codes. SEN and GET-SEN are the draft author's server's
// alone.
const (
	NoVerb     Verb = 0
	Begin      Verb = 1
	GetVersion Verb = 2
	SetVersion Verb = 3
	List       Verb = 4
	Reset      Verb = 5
	APDU       Verb = 6
	Shutdown   Verb = 7
	PowerOn    Verb = 8
	Echo       Verb = 9
	SEN        Verb = 10
	GetSEN     Verb = 11
	Quit       Verb = 12
)

var verbNames = map[Verb]string{
	Begin: "BEGIN", GetVersion: "GET-VERSION", SetVersion: "SET-VERSION", List: "LIST", Reset: "RESET", APDU: "APDU",
	Shutdown: "SHUTDOWN", PowerOn: "POWERON", Echo: "ECHO", SEN: "SEN", GetSEN: "GET-SEN", Quit: "QUIT",
}

// String is the verb as it stands in a command line.
func (v Verb) String() string {
	if name, ok := verbNames[v]; ok {
		return name
	}
	return fmt.Sprintf("code %02d", uint8(v))
}

// Status is one result line of an answer: "+006 002 9000". As an error it is
// a refusal or a failure that the server reported; errors.As finds it in what
// the client returns.
type Status struct {
	OK    bool  // the sign: '+'
	Class Class // 0 to 9
	Verb  Verb  // the code, 0 to 99
	Line  int   // the command's line in its request, from 1; 0 is BEGIN
	Text  string
}

// Failed tells whether the status is an error of class c in command v.
func (s Status) Failed(c Class, v Verb) bool { return !s.OK && s.Class == c && s.Verb == v }

// Append encodes the status behind dst, without the line's end. A status
// without text ends behind the line number.
func (s Status) Append(dst []byte) []byte {
	sign := byte('-')
	if s.OK {
		sign = '+'
	}
	dst = append(dst, sign, '0'+byte(s.Class), '0'+byte(s.Verb/10), '0'+byte(s.Verb%10), ' ')
	for width := 100; width > 1 && s.Line < width; width /= 10 {
		dst = append(dst, '0')
	}
	dst = strconv.AppendInt(dst, int64(s.Line), 10)
	if s.Text == "" {
		return dst
	}
	return append(append(dst, ' '), s.Text...)
}

// String is the line as the server sent it, without its end.
func (s Status) String() string { return string(s.Append(nil)) }

// Error says the command, the class in words and the server's text.
func (s Status) Error() string {
	return fmt.Sprintf("%s: %s (%s)", s.Verb, s.Text, s.String()[:4])
}
