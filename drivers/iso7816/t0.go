package iso7816

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/cloud-of-se/tses/drivers"
)

// Procedure bytes (ISO/IEC 7816-3, 10.3.3).
const (
	nullByte = 0x60
	sw1Mask  = 0xF0 // 6X and 9X are SW1
)

// t0 carries TPDUs of T=0 (ISO/IEC 7816-3, clause 10).
type t0 struct {
	link     *link
	wt       time.Duration // waiting time
	maxNulls int
	broken   bool // nothing tells any more what belongs to which command
}

// tpdu is a command TPDU: header with P3, and either data to the card or a
// number of bytes that are expected from it.
type tpdu struct {
	header [5]byte
	data   []byte
	ne     int
}

var errProcedure = errors.New("it is no procedure byte")

// exchange sends a command TPDU and returns data and status word. begun tells,
// where there is an error, whether the card can have got the command.
func (t *t0) exchange(ctx context.Context, c tpdu) (response []byte, begun bool, err error) {
	if found, err := t.link.stale(ctx); err != nil || found {
		t.broken = t.broken || found
		if err == nil {
			err = errStale
		}
		return nil, false, err
	}
	x := t0exchange{t0: t, tpdu: c}
	begun, err = t.link.send(ctx, c.header[:], turnT0)
	if err != nil {
		err = fmt.Errorf("header: %w", err)
	} else {
		err = x.run(ctx)
	}
	if err != nil {
		t.broken = t.broken || begun
		clear(x.response)
		return nil, begun, err
	}
	return x.response, true, nil
}

// t0exchange is one exchange after its header.
type t0exchange struct {
	*t0
	tpdu
	sent     int // data bytes to the card
	response []byte
	nulls    int
}

// run obeys procedure bytes until the status word.
func (x *t0exchange) run(ctx context.Context) error {
	for {
		b, err := x.next(ctx)
		if err != nil {
			return err
		}
		ins := x.header[1]
		switch {
		case b == nullByte:
			if x.nulls++; x.nulls > x.maxNulls {
				return fmt.Errorf("%w: it asked for more time %d times", drivers.ErrMute, x.nulls)
			}
			drivers.Busy(ctx)
			continue
		case b&sw1Mask == 0x60 || b&sw1Mask == 0x90:
			return x.finish(ctx, b)
		case b == ins:
			err = x.transfer(ctx, x.left())
		case b == ^ins:
			err = x.transfer(ctx, min(1, x.left()))
		default:
			err = errProcedure
		}
		if err != nil {
			return fmt.Errorf("procedure byte %02X: %w", b, err)
		}
	}
}

// next is the next character from the card.
func (x *t0exchange) next(ctx context.Context) (byte, error) {
	b, err := x.link.read(ctx, x.wt)
	return b, x.mute(err)
}

func (x *t0exchange) mute(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("%w within its waiting time of %v", drivers.ErrMute, x.wt)
	}
	return err
}

// left is how many bytes are to be transferred yet, to the card or from it.
func (x *t0exchange) left() int {
	if x.ne > 0 {
		return x.ne - len(x.response)
	}
	return len(x.data) - x.sent
}

// transfer moves n data bytes in the one direction that the command has.
func (x *t0exchange) transfer(ctx context.Context, n int) error {
	if n == 0 {
		return fmt.Errorf("%w: nothing is left to be transferred", errProcedure)
	}
	if x.ne == 0 {
		_, err := x.link.send(ctx, x.data[x.sent:x.sent+n], turnT0)
		x.sent += n
		return err
	}
	more := 0
	if n == x.left() {
		more = 2 // the status word follows
	}
	err := x.link.fill(ctx, n, more, x.wt)
	if err == nil {
		x.response, err = x.link.take(x.response, n)
	}
	return x.mute(err)
}

// finish takes SW2 and makes sure that it is the end.
func (x *t0exchange) finish(ctx context.Context, sw1 byte) error {
	sw2, err := x.next(ctx)
	if err != nil {
		return err
	}
	if x.ne > 0 && len(x.response) != 0 && x.left() != 0 {
		return fmt.Errorf("%w: %02X%02X after %d of %d bytes", errProcedure, sw1, sw2, len(x.response), x.ne)
	}
	x.response = append(x.response, sw1, sw2)
	return x.link.quiet(ctx)
}
