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

	"golang.org/x/sys/unix"

	"github.com/cloud-of-se/tses/internal/journal"
	"github.com/cloud-of-se/tses/internal/plain"
)

// maxWaiting bounds what waits for the console. At 115200 baud it takes 11 s.
const maxWaiting = 128 << 10

// newConsole writes to the machine's console, a serial line of 115200 baud as a
// rule. Nobody waits for it: lines that it cannot take in time are counted, and
// not shown.
func newConsole(w io.Writer) *journal.Writer {
	return journal.New(w, journal.Options{Room: maxWaiting, Lost: func(lines int) string {
		return fmt.Sprintf("log: %d lines not shown: the console is too slow for them; the file has them\n", lines)
	}})
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
// holds anything that a terminal acts upon. It does not fill the log: in an
// interval it has so many bytes, and then a line with the number of those that are
// left out.
type speaker struct {
	w      io.Writer
	prefix string

	mu    sync.Mutex
	line  []byte    // the beginning of one, at most maxLine and a little
	cut   int       // how many bytes of it are left out
	began time.Time // the interval
	said  int       // bytes in it
	mute  int       // lines that were left out of it
}

// maxSaid is how much there may be within saidTime: half of what the files keep. A
// TSES that is well stays far below it.
const (
	maxSaid  = maxLog
	saidTime = 10 * time.Minute
)

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
	s.renew()
}

// renew begins an interval, and tells what the last one has left out.
func (s *speaker) renew() {
	if s.mute > 0 {
		// The log never fails.
		_, _ = fmt.Fprintf(s.w, "log: %d lines of %q were left out: there were too many\n", s.mute, s.prefix)
	}
	s.began, s.said, s.mute = time.Now(), 0, 0
}

func (s *speaker) say() {
	var b strings.Builder
	b.WriteString(s.prefix)
	b.Write(plain.Append(nil, s.line))
	if s.cut > 0 {
		fmt.Fprintf(&b, " … %d bytes more", s.cut)
	}
	b.WriteByte('\n')
	s.line, s.cut = s.line[:0], 0
	if time.Since(s.began) > saidTime {
		s.renew()
	}
	if s.said += b.Len(); s.said > maxSaid {
		s.mute++
		return
	}
	// The log never fails.
	_, _ = io.WriteString(s.w, b.String())
}
