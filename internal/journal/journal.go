// Package journal keeps a log out of its program's way. A stopped terminal, a pipe
// that nobody reads and a card that hangs take no more bytes, and whoever writes to
// them waits: a [Writer] takes lines in their place, at once, as far as it has
// room, and says at their place how many it had to leave out.
//
// What a log is filled with is bounded by the rest of the package: [Bound] is how
// long a value in a line may be, a [Quota] how many lines there are of each kind.
package journal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// Options of a [Writer].
type Options struct {
	// Room is how many bytes wait at most; 0 is 256 KiB.
	Room int
	// Lost is the line that says how many lines were left out, with its end.
	// nil: one that looks like [log/slog.TextHandler]'s.
	Lost func(lines int) string
	// End is called when the last line is written. nil: nothing.
	End func() error
}

// Writer hands whole lines to a goroutine of its own that writes them. Nobody
// waits for that one: see [Writer.Write].
type Writer struct {
	w       io.Writer
	options Options
	wake    chan struct{} // closed by Close
	done    chan struct{} // closed when all is over
	ended   error         // of End; for who has seen done

	mu      sync.Mutex
	waiting []byte
	missing int //  lines that found no room behind what waits
	writing bool
	idle    chan struct{} // closed when nothing is left to do; nil: nobody waits for it
	closed  bool
}

// New begins to write to w, until [Writer.Close].
func New(w io.Writer, o Options) *Writer {
	if o.Room <= 0 {
		o.Room = 256 << 10
	}
	if o.Lost == nil {
		o.Lost = lost
	}
	j := &Writer{w: w, options: o, wake: make(chan struct{}, 1), done: make(chan struct{})}
	go j.run()
	return j
}

func lost(lines int) string {
	return fmt.Sprintf("time=%s level=WARN msg=\"lines of the log are lost here: they were not taken in time\" number=%d\n",
		time.Now().Format("2006-01-02T15:04:05.000Z07:00"), lines)
}

// Write takes whole lines, or counts them as lost. It never waits and never fails.
func (j *Writer) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for line := range bytes.Lines(p) {
		// What comes behind a line that is lost is lost too: the word about it
		// stands at the right place.
		if j.closed || j.missing > 0 || len(j.waiting)+len(line) > j.options.Room {
			j.missing++
			continue
		}
		j.waiting = append(j.waiting, line...)
	}
	if !j.closed {
		select {
		case j.wake <- struct{}{}:
		default: // it is awake
		}
	}
	return len(p), nil
}

func (j *Writer) run() {
	defer close(j.done)
	for range j.wake {
		for text, lines := j.take(); text != nil; text, lines = j.take() {
			if _, err := j.w.Write(text); err != nil {
				j.lose(lines)
				break // until there is more to be written
			}
		}
	}
	if j.options.End != nil {
		j.ended = j.options.End()
	}
}

// take returns all that waits, nil for nothing, and how many lines are lost if it
// cannot be written.
func (j *Writer) take() (text []byte, lines int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	text = j.waiting
	lines = bytes.Count(text, []byte("\n")) + j.missing
	if j.missing > 0 {
		text = append(text, j.options.Lost(j.missing)...)
	}
	j.waiting, j.missing, j.writing = nil, 0, len(text) > 0
	if !j.writing {
		j.rest()
		return nil, 0
	}
	return text, lines
}

// lose counts what could not be written.
func (j *Writer) lose(lines int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.missing += lines
	j.writing = false
	j.rest()
}

// rest tells who waits that there is nothing more to be done now.
func (j *Writer) rest() {
	if j.idle != nil {
		close(j.idle)
		j.idle = nil
	}
}

// Flush waits until all is written, for as long as limit, and tells whether it is.
func (j *Writer) Flush(limit time.Duration) bool {
	j.mu.Lock()
	if j.empty() {
		j.mu.Unlock()
		return true
	}
	if j.idle == nil {
		j.idle = make(chan struct{})
	}
	idle := j.idle
	j.mu.Unlock()
	select {
	case <-idle:
	case <-j.done:
	case <-time.After(limit):
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.empty()
}

func (j *Writer) empty() bool { return !j.writing && len(j.waiting) == 0 && j.missing == 0 }

// ErrStuck says that what a [Writer] writes to takes nothing any more.
var ErrStuck = errors.New("the log is not taken, its last lines are lost")

// Close takes no more lines and waits for as long as limit until the last of them
// is written and Options.End has returned. After [ErrStuck] the goroutine lives on
// until the write that holds it returns: nothing can end that one.
func (j *Writer) Close(limit time.Duration) error {
	j.mu.Lock()
	if !j.closed {
		j.closed = true
		close(j.wake)
	}
	j.mu.Unlock()
	select {
	case <-j.done:
		return j.ended
	case <-time.After(limit):
		return ErrStuck
	}
}
