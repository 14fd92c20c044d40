package iso7816

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/cloud-of-se/tses/drivers/internal/t1"
)

// t1link carries blocks of T=1 (ISO/IEC 7816-3, 11.3) for the engine.
type t1link struct {
	*link
	cwt     time.Duration // character waiting time
	edc     int           // bytes of the error detection code
	garbled bool          // what was heard of the last block is not what was sent
	block   []byte
}

const (
	prologue    = 3 // NAD, PCB, LEN
	lenReserved = 0xFF
)

var _ t1.Link = (*t1link)(nil)

// Send implements [t1.Link]. A block whose echo is wrong is lost like one that
// the card does not understand: the engine hears so from Receive.
func (l *t1link) Send(ctx context.Context, block []byte) error {
	l.garbled = false
	if _, err := l.stale(ctx); err != nil { // late parts of blocks that were given up
		return err
	}
	_, err := l.send(ctx, block, turnT1)
	if errors.Is(err, errEcho) {
		l.garbled = true
		return nil
	}
	return err
}

// Receive implements [t1.Link].
func (l *t1link) Receive(ctx context.Context, w t1.Wait) ([]byte, error) {
	if l.garbled {
		l.garbled = false
		return nil, l.misread(ctx, errEcho)
	}
	switch err := l.fill(ctx, 1, prologue-1, w.Limit); {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, t1.ErrTimeout
	case err != nil:
		return nil, err
	}
	clear(l.block)
	l.block = l.block[:0]
	if err := l.more(ctx, prologue); err != nil {
		return nil, l.misread(ctx, err)
	}
	n := l.block[2]
	if n == lenReserved {
		return nil, l.misread(ctx, errors.New("LEN is FF"))
	}
	bad := l.more(ctx, int(n)+l.edc)
	if bad != nil && !errors.Is(bad, errParity) {
		return nil, l.misread(ctx, bad)
	}
	switch err := l.quiet(ctx); {
	case errors.Is(err, errStale):
		return nil, l.misread(ctx, err)
	case err != nil:
		return nil, err
	case bad != nil:
		return nil, fmt.Errorf("%w: %w", t1.ErrChecksum, bad)
	}
	return l.block, nil
}

// more adds n characters to the block.
func (l *t1link) more(ctx context.Context, n int) error {
	for n > 0 {
		part := min(n, len(l.buf))
		if err := l.fill(ctx, part, 0, l.cwt); err != nil {
			return err
		}
		var err error
		if l.block, err = l.take(l.block, part); err != nil {
			return l.discard(ctx, n-part, err)
		}
		n -= part
	}
	return nil
}

// discard takes the rest of a block off the line that is wrong already.
func (l *t1link) discard(ctx context.Context, n int, reason error) error {
	for n > 0 {
		part := min(n, len(l.buf))
		if err := l.fill(ctx, part, 0, l.cwt); err != nil {
			return err
		}
		l.drop(part)
		n -= part
	}
	return reason
}

// misread makes the link ready for the next block after one that was none: it
// waits until the card is silent.
func (l *t1link) misread(ctx context.Context, reason error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if !errors.Is(reason, os.ErrDeadlineExceeded) {
		if err := l.drain(ctx, l.cwt); err != nil && !errors.Is(err, errStale) {
			return err
		}
	}
	l.drop(len(l.rx))
	return fmt.Errorf("%w: %v", t1.ErrFraming, reason) // not wrapped: the deadline is that of a character
}
