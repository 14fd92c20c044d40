package gp

import (
	"encoding/binary"
	"fmt"
)

// writer encodes the state: fixed fields as they are, others behind their
// length in one or four bytes, big-endian.
type writer struct{ b []byte }

func (w *writer) raw(b ...byte) { w.grow(len(b)); w.b = append(w.b, b...) }

func (w *writer) short(b []byte) { w.raw(byte(len(b))); w.raw(b...) }

func (w *writer) long(b []byte) {
	w.raw(binary.BigEndian.AppendUint32(nil, uint32(len(b)))...)
	w.raw(b...)
}

// grow makes room without leaving a copy of the secrets behind.
func (w *writer) grow(n int) {
	if len(w.b)+n <= cap(w.b) {
		return
	}
	grown := make([]byte, len(w.b), 2*(len(w.b)+n)+1024)
	copy(grown, w.b)
	clear(w.b)
	w.b = grown
}

// reader decodes it. After an error every field is empty.
type reader struct {
	b   []byte
	err error
}

func (r *reader) raw(n int) []byte {
	if r.err == nil && n > len(r.b) {
		r.err = fmt.Errorf("%w: it is cut", ErrState)
	}
	if r.err != nil {
		return nil
	}
	out := r.b[:n:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) byte() byte {
	if b := r.raw(1); len(b) == 1 {
		return b[0]
	}
	return 0
}

func (r *reader) short() []byte { return r.raw(int(r.byte())) }

func (r *reader) long() []byte {
	b := r.raw(4)
	if b == nil {
		return nil
	}
	n := binary.BigEndian.Uint32(b)
	if n > MaxState {
		r.fail("a field of %d bytes", n)
		return nil
	}
	return r.raw(int(n))
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s", ErrState, fmt.Sprintf(format, args...))
	}
}

// end is the error of all that was read, bytes left over included.
func (r *reader) end() error {
	if len(r.b) > 0 {
		r.fail("%d bytes are left over", len(r.b))
	}
	return r.err
}
