package pcsc

import (
	"context"

	"github.com/cloud-of-se/tses/pcsclite"
)

// manager is one context with the resource manager of the host. There are two
// bindings: pcscd's socket, and the C library. Errors that the resource manager
// gives wrap a [pcsclite.Code].
//
// Every call obeys its context. One that is cut short while the resource manager
// works on it matches [pcsclite.ErrUnsettled], and no other call may be made
// until settle has returned.
type manager interface {
	// look returns the readers: at once when it is called first, later when they
	// are others or [lookTime] has passed.
	look(ctx context.Context) ([]reader, error)

	// connect takes a card for exclusive use.
	connect(ctx context.Context, reader string) (connection, error)

	owes() bool // a call was cut short and has not returned
	settle()    // waits until it has

	// close ends the context, and whatever call is under way.
	close() error
}

// connection is the exclusive use of a card.
type connection interface {
	// reset resets the card that is in the reader by now, with [pcsclite.Reset] or
	// [pcsclite.Unpower], and chooses a protocol.
	reset(ctx context.Context, how pcsclite.Disposition) error
	protocol() pcsclite.Protocol
	atr(ctx context.Context) ([]byte, error)

	// status fails on a card that is not the one that was connected or reset.
	status(ctx context.Context) error

	// transmit sends an APDU on T=1, a TPDU on T=0. The command stays the caller's.
	transmit(ctx context.Context, command []byte) ([]byte, error)

	// disconnect gives the card back without power.
	disconnect(ctx context.Context) error
}

// reader is what one look at a reader has shown.
type reader struct {
	name   string
	card   bool
	atr    []byte // nil: no card, or one that does not answer
	events uint32 // cards that came and went
}

// remember gives cards that have no power, and so no answer to reset, the one that
// they had, as long as they have not been taken out.
func remember(seen, before []reader) []reader {
	for i := range seen {
		for _, b := range before {
			if r := &seen[i]; b.name == r.name && b.card && r.card && b.events == r.events && len(r.atr) == 0 {
				r.atr = b.atr
			}
		}
	}
	return seen
}
