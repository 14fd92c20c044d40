package boottest

import (
	"bytes"
	"errors"
	"sync"
)

// console keeps what is written to it.
type console struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{} // closed at the next write
}

// maxConsole bounds what is kept in bytes. A box that writes more is sick.
const maxConsole = 8 << 20

func newConsole() *console { return &console{more: make(chan struct{})} }

func (c *console) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.text.Len()+len(b) > maxConsole {
		return 0, errors.New("too much on the console")
	}
	close(c.more)
	c.more = make(chan struct{})
	return c.text.Write(b)
}

func (c *console) read() (text string, more <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.text.String(), c.more
}

func (c *console) String() string { text, _ := c.read(); return text }
