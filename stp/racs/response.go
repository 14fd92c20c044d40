package racs

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// answerSlack is what an answer may have beyond [MaxAnswer]: another server
// may count its bytes in another way.
const answerSlack = 64 << 10

// Response is the answer to one [Request].
type Response struct {
	Name     string   // the request's name, as the server gave it back
	Statuses []Status // the results in the order of the commands
}

// Last is the last result of the answer: the last executed command's, or the
// error that ended the request. False says that the answer has none.
func (r *Response) Last() (Status, bool) {
	if len(r.Statuses) == 0 {
		return Status{}, false
	}
	return r.Statuses[len(r.Statuses)-1], true
}

// At is the result of the command on the given line of the request, from 1.
// False says that the answer does not hold it: it was not asked to be kept, or
// not executed.
func (r *Response) At(line int) (Status, bool) {
	for _, s := range r.Statuses {
		if s.Line == line {
			return s, true
		}
	}
	return Status{}, false
}

// Err is the error that ended the request, a [Status], or nil.
func (r *Response) Err() error {
	for _, s := range r.Statuses {
		if !s.OK {
			return s
		}
	}
	return nil
}

// ReadResponse reads one answer, BEGIN to END, and not a byte more. An answer
// that is longer than [MaxAnswer] and some slack, or of another form, matches
// [ErrNotRACS], and what follows it in br is out of step. At the end of the
// stream it returns io.EOF before the first byte of an answer and
// io.ErrUnexpectedEOF within one. Lines may end in LF alone.
func ReadResponse(br *bufio.Reader) (*Response, error) {
	lines := lineReader{br: br, left: MaxAnswer + answerSlack}
	first, err := lines.next()
	if err != nil {
		if errors.Is(err, io.EOF) && lines.read > 0 {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	name, ok := beginName(first)
	if !ok {
		return nil, fmt.Errorf("an answer starts with %s instead of BEGIN: %w", excerpt(first), ErrNotRACS)
	}
	resp := &Response{Name: name}
	for {
		line, err := lines.next()
		if errors.Is(err, io.EOF) {
			return nil, io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, err
		}
		if string(line) == "END" {
			return resp, nil
		}
		status, err := ParseStatus(line)
		if err != nil {
			return nil, err
		}
		resp.Statuses = append(resp.Statuses, status)
	}
}

// beginName takes the name out of an answer's first line. BEGIN without the
// space behind it is taken for a request without a name.
func beginName(line []byte) (string, bool) {
	name, ok := bytes.CutPrefix(line, []byte("BEGIN"))
	if !ok || len(name) > 0 && name[0] != ' ' {
		return "", false
	}
	name = bytes.TrimPrefix(name, []byte{' '})
	if len(name) > MaxName || bytes.IndexFunc(name, isControlRune) >= 0 {
		return "", false
	}
	return string(name), true
}

// A lineReader cuts lines out of a stream and bounds what they hold together.
type lineReader struct {
	br   *bufio.Reader
	read int    // bytes taken from br
	left int    // bytes that may still be taken
	long []byte // a line that is longer than br's buffer
}

// next is the next line without its end. It is valid until the next call.
func (l *lineReader) next() ([]byte, error) {
	l.long = l.long[:0]
	for {
		part, err := l.br.ReadSlice('\n')
		l.read += len(part)
		if l.left -= len(part); l.left < 0 {
			return nil, fmt.Errorf("an answer of more than %d bytes: %w", l.read-len(part), ErrNotRACS)
		}
		if err == nil && len(l.long) == 0 {
			return chomp(part), nil
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return nil, err
		}
		l.long = append(l.long, part...)
		if err == nil {
			return chomp(l.long), nil
		}
	}
}

// chomp takes the line's end off.
func chomp(line []byte) []byte {
	return bytes.TrimSuffix(bytes.TrimSuffix(line, []byte{'\n'}), []byte{'\r'})
}
