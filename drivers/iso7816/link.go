package iso7816

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"os"
	"time"
)

// Times in etu (ISO/IEC 7816-3, 7.2 and 11.2; the turn on T=0 as EMV Book 1,
// 9.2.2.1, has it).
const (
	seenAfter = 10.5 // from the leading edge until a UART has seen the stop bit
	charTime  = 12.0 // between leading edges in one direction, 11 for T=1 with N=255
	turnT0    = 16.0 // between leading edges in opposite directions
	turnT1    = 22.0 // block guard time
)

// Errors of the link. All match drivers.ErrProtocol by what wraps them.
var (
	errParity = errors.New("a character came with wrong parity")
	errEcho   = errors.New("the line does not carry what was sent: the card rejects a character, or noise")
	errStale  = errors.New("the card sent what nobody asked for")
)

// link sends and receives characters and keeps the times between them. It
// knows the convention, not the protocol.
type link struct {
	uart    UART
	inverse bool
	blind   bool // the line has no parity
	flipped bool // the UART checks for even parity while the card has odd
	echo    bool
	careful bool // one character at a time, and again if the card rejects it

	etu   float64       // seconds
	gap   float64       // etu between leading edges as the UART sends
	guard float64       // etu between leading edges that the card wants; more than gap: paced
	slack time.Duration // how late a character may be seen
	fifo  float64       // etu that a lone character is held back

	last time.Time // leading edge of the last character, not earlier than it was
	rx   []Char    // received and not yet taken
	buf  [512]Char
	out  []byte
}

func (l *link) etus(n float64) time.Duration {
	return time.Duration(n * l.etu * float64(time.Second))
}

// turned is a byte in the other convention.
func turned(b byte) byte { return ^bits.Reverse8(b) }

// decode gives a character its convention.
func (l *link) decode(c Char) Char {
	if l.inverse {
		c.Byte = turned(c.Byte)
	}
	if l.blind {
		c.Bad = false
	} else if l.flipped {
		c.Bad = !c.Bad
	}
	return c
}

// fill waits for characters until n are there. The deadline moves with each
// one that comes. more is how many may be taken beyond n.
func (l *link) fill(ctx context.Context, n, more int, wait time.Duration) error {
	for len(l.rx) < n {
		if err := ctx.Err(); err != nil {
			return err
		}
		p := l.buf[:min(n+more-len(l.rx), len(l.buf))]
		// The hundredth and the etu make up for rates that are not exact.
		got, err := l.uart.Read(ctx, p, l.last.Add(wait+wait/100+l.etus(seenAfter+1)+l.slack))
		if err != nil {
			return err
		}
		l.arrived(p[:got])
	}
	return nil
}

func (l *link) arrived(p []Char) {
	l.rx = append(l.rx, p...)
	clear(p) // it may hold a key
	l.last = time.Now().Add(-l.etus(seenAfter))
}

// take removes the first n characters. Those of wrong parity are an error.
func (l *link) take(dst []byte, n int) ([]byte, error) {
	var err error
	for _, c := range l.rx[:n] {
		if c = l.decode(c); c.Bad {
			err = errParity
		}
		dst = append(dst, c.Byte)
	}
	l.drop(n)
	return dst, err
}

// drop forgets the first n characters.
func (l *link) drop(n int) {
	rest := copy(l.rx, l.rx[n:])
	clear(l.rx[rest:])
	l.rx = l.rx[:rest]
}

// read is the next character.
func (l *link) read(ctx context.Context, wait time.Duration) (byte, error) {
	if err := l.fill(ctx, 1, 0, wait); err != nil {
		return 0, err
	}
	var one [1]byte
	b, err := l.take(one[:0], 1)
	return b[0], err
}

// quiet makes sure that nothing follows what has come: a further character
// says that one before it was lost, or that there was one too many.
func (l *link) quiet(ctx context.Context) error {
	if len(l.rx) > 0 {
		return errStale
	}
	n, err := l.uart.Read(ctx, l.buf[:1], l.last.Add(l.etus(charTime+seenAfter+0.5+l.fifo)))
	switch {
	case n > 0:
		l.arrived(l.buf[:n])
		return errStale
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil
	}
	return err
}

// stale takes what has come meanwhile off the line and tells whether it was
// anything.
func (l *link) stale(ctx context.Context) (bool, error) {
	found := len(l.rx) > 0
	for range 1 + maxStale/len(l.buf) {
		n, err := l.uart.Read(ctx, l.buf[:], past)
		if n > 0 {
			found = true
			l.arrived(l.buf[:n])
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
		if err != nil {
			return found, err
		}
	}
	l.drop(len(l.rx))
	return found, nil
}

// past is a deadline that is over.
var past = time.Unix(1, 0)

// maxStale bounds how much is taken off a line on which a card babbles.
const maxStale = 4096

// drain waits until the line has been silent for the given time.
func (l *link) drain(ctx context.Context, silence time.Duration) error {
	for seen := 0; seen < maxStale; {
		l.drop(len(l.rx))
		err := l.fill(ctx, 1, len(l.buf)-1, silence)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		if err != nil {
			return err
		}
		seen += len(l.rx)
	}
	l.drop(len(l.rx))
	return fmt.Errorf("%w: more than %d characters", errStale, maxStale)
}

// pause waits until turn etu have passed since the last leading edge.
func (l *link) pause(ctx context.Context, turn float64) error {
	return sleep(ctx, time.Until(l.last.Add(l.etus(turn))))
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
