//go:build linux

package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// console is the machine's, a serial line of 115200 baud as a rule. Nobody waits
// for it: lines that it cannot take in time are counted, and not shown.
type console struct {
	w    io.Writer
	wake chan struct{}
	done chan struct{}

	mu      sync.Mutex
	waiting []byte // whole lines
	unseen  int    // lines that found no room behind them
	writing bool
	idle    []chan struct{} // closed when there is nothing to write any more
}

// maxWaiting bounds what waits for the console. At 115200 baud it takes 11 s.
const maxWaiting = 128 << 10

// newConsole begins to write, until stop.
func newConsole(w io.Writer) *console {
	c := &console{w: w, wake: make(chan struct{}, 1), done: make(chan struct{})}
	go c.run()
	return c
}

// Write takes whole lines, or drops them. It never waits and never fails.
func (c *console) Write(p []byte) (int, error) {
	c.mu.Lock()
	for line := range bytes.Lines(p) {
		// What comes behind a line that was dropped is dropped too: the note
		// about it stands at the right place.
		if c.unseen > 0 || len(c.waiting)+len(line) > maxWaiting {
			c.unseen++
			continue
		}
		c.waiting = append(c.waiting, line...)
	}
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default: // it is awake
	}
	return len(p), nil
}

func (c *console) run() {
	defer close(c.done)
	for range c.wake {
		for text := c.take(); text != nil; text = c.take() {
			// There may be no console; then nobody reads it.
			_, _ = c.w.Write(text)
		}
	}
}

// take returns all that waits, nil for nothing.
func (c *console) take() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	text := c.waiting
	c.waiting = nil
	if c.unseen > 0 {
		text = fmt.Appendf(text, "log: %d lines not shown: the console is too slow for them; the file has them\n", c.unseen)
		c.unseen = 0
	}
	c.writing = len(text) > 0
	if !c.writing {
		for _, idle := range c.idle {
			close(idle)
		}
		c.idle = nil
	}
	return text
}

// flush waits until all is written, for as long as limit, and tells whether it
// is.
func (c *console) flush(limit time.Duration) bool {
	c.mu.Lock()
	if !c.writing && len(c.waiting) == 0 && c.unseen == 0 {
		c.mu.Unlock()
		return true
	}
	idle := make(chan struct{})
	c.idle = append(c.idle, idle)
	c.mu.Unlock()
	select {
	case <-idle:
		return true
	case <-time.After(limit):
		return false
	}
}

// stop ends the writing when all is written. Nothing may be written then.
func (c *console) stop() {
	close(c.wake)
	<-c.done
}

// withoutFlowControl makes a terminal one that no key stops: XOFF, which a
// terminal sends for Control-S, would keep all that is written to it for ever.
func withoutFlowControl(f *os.File) error {
	t, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err != nil {
		return err
	}
	t.Iflag &^= unix.IXON | unix.IXOFF
	return unix.IoctlSetTermios(int(f.Fd()), unix.TCSETS, t)
}

// speaker writes what another process says into the log, line by line, each
// with a prefix: no line of it can be taken for one of this process, and none
// holds anything that a terminal acts upon.
type speaker struct {
	w      io.Writer
	prefix string

	mu   sync.Mutex
	line []byte // the beginning of one, at most maxLine and a little
	cut  int    // how many bytes of it are left out
}

// maxLine is how much of a line is kept.
const maxLine = 4096

// Write never fails.
func (s *speaker) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for part := range bytes.Lines(p) {
		text, ended := bytes.CutSuffix(part, []byte("\n"))
		room := min(len(text), maxLine-len(s.line))
		s.line = append(s.line, text[:room]...)
		s.cut += len(text) - room
		if ended {
			s.say()
		}
	}
	return len(p), nil
}

// flush ends a line that has no end.
func (s *speaker) flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.line) > 0 {
		s.say()
	}
}

func (s *speaker) say() {
	var b strings.Builder
	b.WriteString(s.prefix)
	for text := s.line; len(text) > 0; {
		r, n := utf8.DecodeRune(text)
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, text[0])
		case r == '\t' || unicode.IsPrint(r):
			b.WriteRune(r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
		text = text[n:]
	}
	if s.cut > 0 {
		fmt.Fprintf(&b, " … %d bytes more", s.cut)
	}
	b.WriteByte('\n')
	s.line, s.cut = s.line[:0], 0
	// The log never fails.
	_, _ = io.WriteString(s.w, b.String())
}
