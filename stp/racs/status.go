package racs

import (
	"bytes"
	"errors"
	"fmt"
)

// ErrNotRACS is matched by every error of [ParseStatus], [ReadResponse] and
// the [Client] that says: what came from the other side is no RACS.
var ErrNotRACS = errors.New("not RACS")

// maxLineNumber bounds the line number of a status. A request has at most
// [MaxCommands] commands, but a server may count empty lines too.
const maxLineNumber = 9_999_999

// ParseStatus reads one result line without its end, as [Status.Append] writes
// it: sign, class and code, a space, at least three digits of a line number,
// and a space and a text or nothing. A '+' has class 0. A text may hold any
// bytes but control bytes, of which only the tabulator is allowed. What it
// refuses matches [ErrNotRACS].
func ParseStatus(line []byte) (Status, error) {
	if len(line) < len("+006 002") {
		return Status{}, badStatus(line, "too short")
	}
	head := line[:4]
	if head[0] != '+' && head[0] != '-' {
		return Status{}, badStatus(line, "no sign")
	}
	if !digits(head[1:]) {
		return Status{}, badStatus(line, "class and code are not three digits")
	}
	s := Status{OK: head[0] == '+', Class: Class(head[1] - '0'), Verb: Verb((head[2]-'0')*10 + head[3] - '0')}
	if s.OK && s.Class != 0 {
		return Status{}, badStatus(line, "a success with a class of error")
	}
	if line[4] != ' ' {
		return Status{}, badStatus(line, "no space behind the code")
	}
	number, text, _ := bytes.Cut(line[5:], []byte{' '})
	var err error
	if s.Line, err = parseLineNumber(number); err != nil {
		return Status{}, badStatus(line, err.Error())
	}
	if i := bytes.IndexFunc(text, isControlRune); i >= 0 {
		return Status{}, badStatus(line, fmt.Sprintf("control byte %02X in the text", text[i]))
	}
	s.Text = string(text)
	return s, nil
}

// parseLineNumber reads what %03d writes: no leading zero beyond three digits.
func parseLineNumber(b []byte) (int, error) {
	if len(b) < 3 || !digits(b) || len(b) > 3 && b[0] == '0' {
		return 0, errors.New("the line number is not written with three digits or more")
	}
	n := 0
	for _, c := range b {
		if n = 10*n + int(c-'0'); n > maxLineNumber {
			return 0, errors.New("the line number is too large")
		}
	}
	return n, nil
}

func digits(b []byte) bool {
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

// isControlRune finds the bytes that a text must not hold; bytes from 80 on
// are free, whatever encoding they are in.
func isControlRune(r rune) bool { return r < ' ' && r != '\t' || r == 0x7F }

func badStatus(line []byte, why string) error {
	return fmt.Errorf("result line %s: %s: %w", excerpt(line), why, ErrNotRACS)
}

// excerpt quotes the beginning of a line for an error: enough to recognise
// what answered, and no flood.
func excerpt(line []byte) string {
	const most = 40
	if len(line) > most {
		return fmt.Sprintf("%q...", line[:most])
	}
	return fmt.Sprintf("%q", line)
}
