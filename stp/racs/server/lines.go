package server

import (
	"bytes"
	"errors"
	"io"

	"github.com/cloud-of-se/tses/stp"
	"github.com/cloud-of-se/tses/stp/racs"
)

const (
	firstBuffer = 2 << 10 // what an idle session holds
	keepBuffer  = 8 << 10 // a larger one is given back when it is empty
)

// errLongLine comes with the beginning of a line that is longer than
// racs.MaxLine. The rest of it is dropped without being stored.
var errLongLine = errors.New("line too long")

// lineReader cuts a stream into lines. It stores no more than one line of the
// greatest length and what arrived behind it.
type lineReader struct {
	src      io.Reader
	buf      []byte
	r, w     int                  // buf[r:w] is unread
	scanned  int                  // no line end in buf[r:r+scanned]
	dropping bool                 // the rest of a line that was too long
	grow     func(size int) error // asks for a buffer of a size; not more than keepBuffer is always had
}

// ready tells whether next would return without reading.
func (l *lineReader) ready() bool {
	i := bytes.IndexByte(l.buf[l.r+l.scanned:l.w], '\n')
	if i >= 0 {
		return true
	}
	l.scanned = l.w - l.r
	return false
}

// next returns the next line without its end, CR LF or LF. It is valid until
// the next call. After errLongLine, an error of a share, both with the beginning
// of the line, and one that is a timeout, the next call goes on; other errors are
// the source's and final.
func (l *lineReader) next() ([]byte, error) {
	for {
		unread := l.buf[l.r:l.w]
		if i := bytes.IndexByte(unread[l.scanned:], '\n'); i >= 0 {
			line := unread[:l.scanned+i]
			l.r, l.scanned = l.r+len(line)+1, 0
			if l.dropping {
				l.dropping = false
				continue
			}
			line = bytes.TrimSuffix(line, []byte{'\r'})
			if len(line) > racs.MaxLine {
				return line, errLongLine
			}
			return line, nil
		}
		l.scanned = len(unread)
		switch {
		case l.dropping:
			l.r, l.scanned = l.w, 0
		case len(unread) > racs.MaxLine+1: // one for the CR
			l.dropping = true
			l.r, l.scanned = l.w, 0
			return unread[:racs.MaxLine], errLongLine
		}
		err := l.fill()
		if errors.Is(err, stp.ErrShare) {
			l.dropping = true
			l.r, l.scanned = l.w, 0
			return unread, err
		}
		if err != nil {
			return nil, err
		}
	}
}

// fill reads more behind what is unread.
func (l *lineReader) fill() error {
	if l.r == l.w {
		l.r, l.w, l.scanned = 0, 0, 0
		if cap(l.buf) > keepBuffer {
			l.buf = nil
			if err := l.grow(firstBuffer); err != nil {
				return err
			}
		}
	}
	switch {
	case l.buf == nil:
		l.buf = make([]byte, firstBuffer)
	case l.w == len(l.buf) && l.r > 0:
		l.w = copy(l.buf, l.buf[l.r:l.w])
		l.r = 0
	case l.w == len(l.buf):
		if err := l.grow(2 * len(l.buf)); err != nil {
			return err
		}
		l.buf = append(make([]byte, 0, 2*len(l.buf)), l.buf...)[:2*len(l.buf)]
	}
	n, err := l.src.Read(l.buf[l.w:])
	l.w += n
	if n > 0 {
		return nil // an error comes again at the next read
	}
	return err
}
