// Package plain makes text that comes from somewhere else fit for a terminal and
// for a log. Nothing in it moves a cursor, turns the direction of writing, looks
// like a line of one's own, or is longer than it may be: what is not printable is
// written as Go writes it in a string, "\x1b", "\u202e".
package plain

import (
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Name is how many bytes are shown of a name that somebody else has chosen, such
// as a certificate's.
const Name = 80

// Text is a text as one line.
func Text(s string) string {
	if strings.IndexFunc(s, func(r rune) bool { return !printable(r) }) < 0 {
		return s
	}
	return string(Append(nil, []byte(s)))
}

// Short is Text of the first most bytes of s, and how many more there are.
func Short(s string, most int) string {
	if len(s) <= most {
		return Text(s)
	}
	kept := most
	for kept > most-utf8.UTFMax && kept > 0 && !utf8.RuneStart(s[kept]) {
		kept--
	}
	return fmt.Sprintf("%s … %d bytes more", Text(s[:kept]), len(s)-kept)
}

// Append appends a text as one line.
func Append(dst, text []byte) []byte {
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		dst = appendRune(dst, r, text[:n])
		text = text[n:]
	}
	return dst
}

// appendRune appends a rune, which raw is in the text.
func appendRune(dst []byte, r rune, raw []byte) []byte {
	switch {
	case r == utf8.RuneError && len(raw) == 1:
		return fmt.Appendf(dst, `\x%02x`, raw[0])
	case printable(r):
		return append(dst, raw...)
	case r < 0x80:
		return fmt.Appendf(dst, `\x%02x`, r)
	case r < 0x10000:
		return fmt.Appendf(dst, `\u%04x`, r)
	}
	return fmt.Appendf(dst, `\U%08x`, r)
}

// printable tells whether a rune is seen as what it is. The replacement character
// is what an invalid byte is decoded to; where it stands for itself it looks the
// same, so that it is written as a number, too.
func printable(r rune) bool {
	if ' ' <= r && r < 0x7F || r == '\t' {
		return true
	}
	return r != utf8.RuneError && unicode.IsPrint(r) && !unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r)
}

// Writer passes a stream of lines on, each of them plain.
type Writer struct {
	w    io.Writer
	rest []byte // the beginning of a rune, or CR, whose other bytes are to come
	out  []byte
}

// NewWriter returns a writer to w. Flush ends it.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

// Write keeps the ends of lines, LF and CR LF. A CR elsewhere is not passed on: a
// terminal would write over the line.
func (w *Writer) Write(p []byte) (int, error) {
	text := append(w.rest, p...)
	w.out = w.out[:0]
	for len(text) > 0 && whole(text) {
		r, n := utf8.DecodeRune(text)
		switch {
		case r == '\n':
			w.out = append(w.out, '\n')
		case r == '\r' && text[1] == '\n':
			w.out, n = append(w.out, "\r\n"...), 2
		default:
			w.out = appendRune(w.out, r, text[:n])
		}
		text = text[n:]
	}
	w.rest = append([]byte(nil), text...)
	if _, err := w.w.Write(w.out); err != nil {
		return 0, err
	}
	return len(p), nil
}

// whole tells whether what a text begins with can be told.
func whole(text []byte) bool {
	if text[0] == '\r' {
		return len(text) > 1
	}
	return utf8.FullRune(text)
}

// Flush writes what was held back for bytes that did not come.
func (w *Writer) Flush() error {
	rest := Append(nil, w.rest)
	w.rest = nil
	if len(rest) == 0 {
		return nil
	}
	_, err := w.w.Write(rest)
	return err
}
