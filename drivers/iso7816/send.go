package iso7816

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// maxRepeats is how often a character that the card rejects is sent again
// (ISO/IEC 7816-3, 7.3, gives no bound; EMV Book 1, 9.2.2.2.1, three).
const maxRepeats = 3

// send puts characters on the line, the first one turn etu after the last one
// that came, and takes their echo off it. begun tells whether anything can
// have reached the card. Once the first character is out ctx does not end a
// burst: its length bounds the time.
func (l *link) send(ctx context.Context, p []byte, turn float64) (begun bool, err error) {
	if err := l.pause(ctx, turn); err != nil {
		return false, err
	}
	ctx = context.WithoutCancel(ctx)
	l.out = l.out[:0]
	for _, b := range p {
		if l.inverse {
			b = turned(b)
		}
		l.out = append(l.out, b)
	}
	defer func() { clear(l.out) }() // it may be a PIN
	switch {
	case l.careful:
		err = l.sendEach(ctx, l.out, (*link).sendCarefully)
	case l.guard > l.gap:
		err = l.sendEach(ctx, l.out, (*link).burst)
	default:
		err = l.burst(ctx, l.out)
	}
	return true, err
}

// sendEach sends one character after the other, with the guard time that the
// card asks for.
func (l *link) sendEach(ctx context.Context, p []byte, how func(*link, context.Context, []byte) error) error {
	for i := range p {
		if i > 0 {
			if err := l.pause(ctx, max(l.guard, l.gap)); err != nil {
				return err
			}
		}
		if err := how(l, ctx, p[i:i+1]); err != nil {
			return fmt.Errorf("character %d of %d: %w", i+1, len(p), err)
		}
	}
	return nil
}

// burst writes and compares the echo.
func (l *link) burst(ctx context.Context, p []byte) error {
	start := time.Now()
	if err := l.uart.Write(ctx, p); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	end := start.Add(l.etus(float64(len(p)-1) * l.gap)) // the last leading edge, if nothing held the UART up
	if !l.echo {
		l.last = end
		return l.pause(ctx, seenAfter)
	}
	l.last = end
	err := l.fill(ctx, len(p), 0, 0)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("%w: %d of %d characters are heard", errEcho, len(l.rx), len(p))
	}
	if err != nil {
		return err
	}
	for i, c := range l.rx[:len(p)] {
		if c.Byte != p[i] || c.Bad && !l.blind {
			err = fmt.Errorf("%w: character %d of %d", errEcho, i+1, len(p))
			break
		}
	}
	l.drop(len(p))
	return err
}

// sendCarefully sends one character and listens for the card's error signal
// (ISO/IEC 7816-3, 7.3): I/O low from 10.5 etu on, which a UART takes for the
// start bit of a character. A card that answers begins at 12 etu or later.
func (l *link) sendCarefully(ctx context.Context, p []byte) error {
	const window = seenAfter + 0.6 // the signal is seen 10.5 etu after the echo
	for range 1 + maxRepeats {
		if err := l.burst(ctx, p); err != nil {
			return err
		}
		edge := l.last
		n, err := l.uart.Read(ctx, l.buf[:1], edge.Add(l.etus(seenAfter+window+l.fifo)))
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil
		case err != nil:
			return err
		case n > 0 && !l.signal(l.buf[0]):
			l.arrived(l.buf[:n]) // the card answers already
			return nil
		}
		l.last = time.Now().Add(-l.etus(seenAfter))
		if err := l.pause(ctx, seenAfter+2); err != nil {
			return err
		}
	}
	return fmt.Errorf("%w: rejected %d times", errEcho, 1+maxRepeats)
}

// signal tells whether a character is what a UART makes of the error signal: a
// low of 1 to 2 etu, so a start bit and perhaps the first data bit.
func (l *link) signal(c Char) bool { return c.Bad || c.Byte|1 == 0xFF }
