package ordeal

import (
	"bytes"
	"context"
	"fmt"
	"sync"

	"github.com/cloud-of-se/tses/apdu"
	"github.com/cloud-of-se/tses/drivers"
)

// Brain is a secure element that gives each command an answer of its own and
// keeps account of what it executes.
type Brain struct {
	mu       sync.Mutex
	command  []byte // that was sent last
	times    int    // it was executed
	previous []byte // the one before, if its outcome was unknown and it was not executed
	findings []string
}

var _ drivers.SE = (*Brain)(nil)

// atr offers T=1 and has no historical bytes.
var atr = []byte{0x3B, 0x80, 0x01, 0x81}

// PowerOn implements [drivers.SE].
func (b *Brain) PowerOn(context.Context) ([]byte, error) { return bytes.Clone(atr), nil }

// Reset implements [drivers.SE].
func (b *Brain) Reset(context.Context, drivers.ResetKind) ([]byte, error) {
	return bytes.Clone(atr), nil
}

// PowerOff implements [drivers.SE].
func (b *Brain) PowerOff(context.Context) error { return nil }

// String implements [drivers.SE].
func (b *Brain) String() string { return "ordeal" }

// Transmit implements [drivers.SE]: it executes a command.
func (b *Brain) Transmit(_ context.Context, command []byte) ([]byte, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case bytes.Equal(command, b.command):
		if b.times++; b.times > 1 {
			b.find("command %.4X was executed %d times", command, b.times)
		}
	case b.previous != nil && bytes.Equal(command, b.previous):
		b.previous = nil // late, and once
	default:
		b.find("command %.8X of %d bytes was executed and not sent; %.8X of %d bytes was", command, len(command), b.command, len(b.command))
	}
	return Answer(command), nil
}

func (b *Brain) find(format string, args ...any) {
	if len(b.findings) < 10 {
		b.findings = append(b.findings, fmt.Sprintf(format, args...))
	}
}

// expect says which command is sent next. lost is that the outcome of the last
// one is unknown: it may still be executed.
func (b *Brain) expect(command []byte, lost bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.previous = nil
	if lost && b.times == 0 {
		b.previous = b.command
	}
	b.command, b.times = command, 0
}

// executed tells how often the command was executed.
func (b *Brain) executed() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.times
}

// Findings are what was executed and must not have been.
func (b *Brain) Findings() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.findings
}

// Answer is the one right answer to a command: up to Ne bytes that no other
// command is answered with, and 9000.
func Answer(command []byte) []byte {
	c, err := apdu.Parse(command)
	if err != nil {
		return apdu.Response{SW: apdu.SWWrongLength}.Bytes()
	}
	seed := uint32(command[1])<<16 | uint32(command[2])<<8 | uint32(command[3])
	n := c.Ne
	if n > 0 && seed%3 == 0 {
		n = int(seed) % n
	}
	data := make([]byte, n)
	for i := range data {
		if i%4 == 0 {
			seed = seed*1664525 + 1013904223
		}
		data[i] = byte(seed >> (8 * (i % 4)))
	}
	return apdu.Response{Data: data, SW: apdu.SWSuccess}.Bytes()
}
