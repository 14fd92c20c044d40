package racs

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/cloud-of-se/tses/apdu"
)

// ErrRequest is matched by the error of a [Request] that cannot be sent: a
// name, a token or an APDU that the protocol has no form for, or too many.
// Nothing of it went out.
var ErrRequest = errors.New("the request cannot be sent")

// A Request collects commands that the server executes in order, up to the
// first error. Its methods return the request, so that calls can be chained;
// the first mistake is kept and [Client.Do] returns it. The commands' lines
// count from 1. A Request may be sent again, but by one goroutine at a time.
//
//	req := racs.NewRequest("r1").PowerOn("soft1").APDU("soft1", command, racs.APDUOptions{}).Keep()
type Request struct {
	name     string
	commands int
	wire     []byte // all but END
	works    bool   // it has an APDU, which may take long
	err      error
}

// NewRequest starts a request. The name is 0 to [MaxName] bytes without
// control bytes and spaces; the answer carries it.
func NewRequest(name string) *Request {
	r := &Request{name: name, wire: make([]byte, 0, 128)} // most fit, and grow no further
	if name != "" {
		r.check("name", name, MaxName)
	}
	r.wire = append(append(append(r.wire, "BEGIN "...), name...), "\r\n"...)
	return r
}

// Name is the request's name.
func (r *Request) Name() string { return r.name }

// Len is the number of commands; the last one's line number.
func (r *Request) Len() int { return r.commands }

// Err is the first mistake in the request, nil if it can be sent. It matches
// [ErrRequest].
func (r *Request) Err() error { return r.err }

// Bytes is the request as it goes out, BEGIN to END.
func (r *Request) Bytes() []byte {
	return append(r.wire[:len(r.wire):len(r.wire)], "END\r\n"...)
}

// Add adds a command of any form, for what the other methods do not have. A
// token is one byte or more without control bytes and spaces, and not APPEND,
// which [Request.Keep] adds.
func (r *Request) Add(verb string, tokens ...string) *Request {
	if r.open(verb) {
		for _, token := range tokens {
			r.token(token)
		}
		r.close()
	}
	return r
}

// Keep asks for the result of the last added command to be in the answer
// (APPEND) even if it is not the last one.
func (r *Request) Keep() *Request {
	if r.commands == 0 {
		r.fail(errors.New("there is no command whose result could be kept"))
	}
	if r.err == nil {
		r.wire = append(r.wire[:len(r.wire)-len("\r\n")], " APPEND\r\n"...)
	}
	return r
}

// Version adds GET-VERSION.
func (r *Request) Version() *Request { return r.Add(GetVersion.String()) }

// List adds LIST.
func (r *Request) List() *Request { return r.Add(List.String()) }

// PowerOn adds POWERON for the SE named seid.
func (r *Request) PowerOn(seid string) *Request { return r.Add(PowerOn.String(), seid) }

// Shutdown adds SHUTDOWN, which powers the SE off.
func (r *Request) Shutdown(seid string) *Request { return r.Add(Shutdown.String(), seid) }

// Reset adds RESET: cold, or warm.
func (r *Request) Reset(seid string, warm bool) *Request {
	if warm {
		return r.Add(Reset.String(), seid, "WARM")
	}
	return r.Add(Reset.String(), seid)
}

// Echo adds ECHO of one word.
func (r *Request) Echo(word string) *Request { return r.Add(Echo.String(), word) }

// Quit adds QUIT: the server closes the connection behind the answer.
func (r *Request) Quit() *Request { return r.Add(Quit.String()) }

// APDUOptions say what the server does with an APDU's answer. The zero value
// asks for nothing.
type APDUOptions struct {
	// Continue is the status word that the command must end with; with
	// another one the request ends there. 0 takes any.
	Continue apdu.SW
	// More is the SW1 that announces more data, 61 or 9F: the server fetches
	// it by GET RESPONSE and joins it. 0 leaves that to the caller.
	More byte
	// Fetch is CLA INS P1 P2 of the command that More fetches with. All zero
	// is the server's default, 00 C0 00 00.
	Fetch [4]byte
	// Raw asks for the SE's own answer: without it a server obeys 6CXX, which
	// a client that plays T=0 must see. It goes with neither More nor Fetch. An
	// older server and those of others refuse it with [NotSupported]; see
	// [Client.TransmitRaw].
	Raw bool
}

// APDU adds one command APDU for the SE named seid. It must be well-formed;
// what is not matches [apdu.ErrMalformed] as well.
func (r *Request) APDU(seid string, command []byte, options APDUOptions) *Request {
	if _, err := apdu.Parse(command); err != nil {
		r.fail(fmt.Errorf("APDU for %s: %w", seid, err))
	}
	if options.Raw && (options.More != 0 || options.Fetch != [4]byte{}) {
		r.fail(fmt.Errorf("APDU for %s: Raw goes with neither More nor Fetch", seid))
	}
	if !r.open(APDU.String()) {
		return r
	}
	r.works = true
	r.token(seid)
	r.wire = appendUpperHex(append(r.wire, ' '), command)
	if options.Continue != 0 {
		r.token("CONTINUE=" + options.Continue.String())
	}
	if options.Raw {
		r.token("RAW")
	}
	if options.More != 0 {
		r.token(fmt.Sprintf("MORE=%02X", options.More))
	}
	if options.Fetch != [4]byte{} {
		r.token(fmt.Sprintf("FETCH=%X", options.Fetch))
	}
	r.close()
	return r
}

// open begins a command line; false says that nothing is to be added any more.
func (r *Request) open(verb string) bool {
	if r.err == nil && r.commands == MaxCommands {
		r.fail(fmt.Errorf("it has more than %d commands", MaxCommands))
	}
	if verb == "BEGIN" || verb == "END" {
		r.fail(fmt.Errorf("%s is no command", verb))
	}
	r.check("command", verb, MaxLine)
	if r.err != nil {
		return false
	}
	r.wire = append(r.wire, verb...)
	r.commands++
	return true
}

func (r *Request) token(token string) {
	r.check("token", token, MaxLine)
	if token == "APPEND" {
		r.fail(errors.New("APPEND is not a token; call Keep"))
	}
	r.wire = append(append(r.wire, ' '), token...)
}

// close ends a command line.
func (r *Request) close() {
	start := bytes.LastIndexByte(r.wire, '\n') + 1
	if n := len(r.wire) - start + len(" APPEND"); n > MaxLine {
		r.fail(fmt.Errorf("command %d is %d bytes long, at most %d are allowed", r.commands, n, MaxLine))
	}
	r.wire = append(r.wire, "\r\n"...)
}

// check refuses what would be read as something else on the other side.
func (r *Request) check(what, word string, most int) {
	switch {
	case word == "":
		r.fail(fmt.Errorf("an empty %s", what))
	case len(word) > most:
		r.fail(fmt.Errorf("a %s of %d bytes, at most %d are allowed", what, len(word), most))
	default:
		for i := range len(word) {
			if c := word[i]; c <= ' ' || c == 0x7F {
				r.fail(fmt.Errorf("%s %s has byte %02X in it; spaces and control bytes cannot be sent", what, excerpt([]byte(word)), c))
				return
			}
		}
	}
}

// fail keeps the first mistake.
func (r *Request) fail(err error) {
	if r.err == nil {
		r.err = fmt.Errorf("request %q: %w: %w", excerptName(r.name), err, ErrRequest)
	}
}

func excerptName(name string) string { return name[:min(len(name), MaxName)] }

func appendUpperHex(dst, b []byte) []byte {
	n := len(dst)
	dst = hex.AppendEncode(dst, b)
	for i, c := range dst[n:] {
		if c >= 'a' {
			dst[n+i] = c - 'a' + 'A'
		}
	}
	return dst
}
