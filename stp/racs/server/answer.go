package server

import (
	"fmt"

	"github.com/cloud-of-se/tses/stp/racs"
)

const hexDigits = "0123456789ABCDEF"

// answer collects the answers that have not gone out. Behind the complete ones
// is the one under way: its BEGIN, the results that are kept, and the result
// of the last command, which the next one replaces unless it is kept too.
type answer struct {
	buf   []byte
	start int // of the answer under way
	kept  int // end of what is kept
}

// tail is the room for "END" and an error line.
const tail = 1024

func (a *answer) begin(name []byte) {
	a.start = len(a.buf)
	a.buf = append(a.buf, "BEGIN "...)
	a.buf = append(a.buf, name...)
	a.buf = append(a.buf, '\r', '\n')
	a.kept = len(a.buf)
}

// result begins a result line that ok or fail of a command completes.
func (a *answer) result(s racs.Status) { a.buf = s.Append(a.buf) }

func (a *answer) endLine() { a.buf = append(a.buf, '\r', '\n') }

// keep adds a whole result line for good.
func (a *answer) keep(s racs.Status) {
	a.result(s)
	a.endLine()
	a.keepLast()
}

func (a *answer) keepLast() { a.kept = len(a.buf) }

func (a *answer) drop() { a.buf = a.buf[:a.kept] }

func (a *answer) end() {
	a.buf = append(a.buf, "END\r\n"...)
	a.start, a.kept = len(a.buf), len(a.buf)
}

// room is how many bytes a result may have now.
func (a *answer) room() int { return racs.MaxAnswer - tail - (a.kept - a.start) }

// fits tells whether a result of n bytes, and the end behind it, need no larger
// buffer. Up to keepBuffer the buffer grows as it likes.
func (a *answer) fits(n int) bool { return len(a.buf)+n+tail <= max(cap(a.buf), keepBuffer) }

// resize makes the buffer larger.
func (a *answer) resize(size int) { a.buf = append(make([]byte, 0, size), a.buf...) }

func (a *answer) appendHex(b []byte) {
	for _, v := range b {
		a.buf = append(a.buf, hexDigits[v>>4], hexDigits[v&0x0F])
	}
}

// flush sends the answers that are complete and keeps the one under way.
func (p *peer) flush() error {
	a := &p.out
	if a.start == 0 {
		return nil
	}
	if _, err := p.conn.Write(a.buf[:a.start]); err != nil {
		return fmt.Errorf("the client does not take its answer: %w", err)
	}
	n := copy(a.buf, a.buf[a.start:])
	a.buf, a.kept, a.start = a.buf[:n], a.kept-a.start, 0
	if n == 0 && cap(a.buf) > keepBuffer {
		a.buf = nil
		return p.hold(cap(p.lines.buf), 0)
	}
	return nil
}
