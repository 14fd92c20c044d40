package chipsim

import (
	"fmt"
	"slices"
	"time"
)

// historyLength is how many events a chip remembers.
const historyLength = 60

// note remembers an event for [Chip.History].
func (c *Chip) note(what string, raw []byte) {
	if len(c.history) == historyLength {
		c.history = append(c.history[:0], c.history[historyLength/2:]...)
	}
	c.history = append(c.history, event{time.Now(), what, slices.Clone(raw[:min(len(raw), 12)]), len(raw)})
}

// event is something that happened at a chip.
type event struct {
	at   time.Time
	what string
	head []byte
	size int
}

// History is what happened to the chip last, for the message of a test that
// fails: the blocks as they came and went, restarts, refusals.
func (c *Chip) History() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var lines []string
	for _, e := range c.history {
		line := e.at.Format("04:05.000000 ") + e.what
		if e.size > 0 {
			line += fmt.Sprintf(" %X (%d bytes)", e.head, e.size)
		}
		lines = append(lines, line)
	}
	return lines
}
