package t1

import (
	"context"
	"errors"
	"time"
)

// A Link carries single blocks. Its errors tell the engine what to do; every
// error but a context's that matches none of [ErrRefused], [ErrTimeout],
// [ErrFraming], [ErrChecksum] ends the command.
type Link interface {
	// Send puts one block on the wire, whole. It keeps nothing of it. A chip
	// that does not take it (I2C: it does not acknowledge) is ErrRefused; the
	// engine tries again as its rules allow. Once the first byte is out a
	// context that is done does not end the block: its length bounds the time.
	Send(ctx context.Context, block []byte) error

	// Receive returns one block, which is valid until the next call. The block
	// must begin within w.Limit, or it is ErrTimeout. What comes and has not
	// the form of a block is ErrFraming; the link is then ready for a next one.
	Receive(ctx context.Context, w Wait) ([]byte, error)
}

// A Listener is a [Link] that knows when a byte of the chip came last. The
// engine needs it where chips can restart by themselves; without it, the end of
// Receive counts.
type Listener interface {
	Link
	Heard() time.Time
}

// A Wait tells a link what it waits for.
type Wait struct {
	Limit time.Duration // the block must begin within this time
	For   Reason        // what the chip has to do first: equal ones take about the same time
}

// Reason is an INS byte for the answer to a command, or one of the others.
type Reason uint16

const (
	ForReceipt  Reason = 0x100 // an R-block, the next block of a chain
	ForResponse Reason = 0x200 // the response to an S-block; its type is added
)

// Errors of a [Link].
var (
	ErrTimeout = errors.New("no block within the waiting time")
	ErrRefused = errors.New("the block was not taken")
)
