package chipbus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cloud-of-se/tses/apdu"
	"github.com/cloud-of-se/tses/drivers"
	"github.com/cloud-of-se/tses/drivers/internal/t1"
)

// SelfReset is taken as the shortest time in which a chip on a bus can faint
// and be back.
const SelfReset = time.Millisecond

// Options describe an [Element].
type Options struct {
	Name    string // driver and place, for String
	Kind    Kind
	Dialect t1.Dialect
	Timing  Timing // before the chip has said what it wants

	MaxClock int64         // in Hz, what the wires can do; 0 for no limit
	BWT      time.Duration // instead of the chip's; 0 for the chip's
	IFSD     int           // the most INF bytes in a block from the chip; 0 for the dialect's most
	MaxWTX   int           // requests for more time within one command; 0 for 1000
	Reset    *ResetLine    // nil if there is none
	Ready    *ReadyLine    // nil if there is none
}

// Element is a secure element on a bus. It implements [drivers.SE].
type Element struct {
	opts Options
	bus  Bus

	on     bool
	link   *link
	engine *t1.Engine
	id     Identity
}

// New makes an element that is off. The bus stays the caller's.
func New(bus Bus, opts Options) (*Element, error) {
	s := &Element{opts: opts, bus: bus}
	if opts.Dialect.Hello == t1.HelloATP && opts.Reset == nil {
		return nil, fmt.Errorf("%s: a chip that speaks %s starts by a reset pulse: give a reset pin", opts.Name, opts.Dialect.Name)
	}
	if err := opts.Ready.arm(); err != nil {
		return nil, fmt.Errorf("%s: %w", opts.Name, err)
	}
	return s, nil
}

// String implements [drivers.SE].
func (s *Element) String() string { return s.opts.Name }

// Identity is what the chip said about itself when it started last.
func (s *Element) Identity() Identity { return s.id }

// PowerOn implements [drivers.SE].
func (s *Element) PowerOn(ctx context.Context) ([]byte, error) {
	atr, err := s.start(ctx, drivers.Cold)
	if errors.Is(err, drivers.ErrRemoved) {
		return nil, s.fail("power on", fmt.Errorf("%w: nothing acknowledges; check wiring, address and supply (%v)", drivers.ErrNoCard, err))
	}
	if err != nil {
		return nil, s.fail("power on", err)
	}
	return atr, nil
}

// Reset implements [drivers.SE].
func (s *Element) Reset(ctx context.Context, kind drivers.ResetKind) ([]byte, error) {
	op := kind.String() + " reset"
	if err := s.ready(ctx); err != nil {
		return nil, s.fail(op, err)
	}
	atr, err := s.start(ctx, kind)
	if err != nil {
		return nil, s.fail(op, err)
	}
	return atr, nil
}

// Transmit implements [drivers.SE].
func (s *Element) Transmit(ctx context.Context, command []byte) ([]byte, error) {
	if err := s.ready(ctx); err != nil {
		return nil, s.fail("transmit", err)
	}
	if len(command) > s.MaxCommand() {
		return nil, s.fail("transmit", fmt.Errorf("%w: a command of %d bytes, %d at most", drivers.ErrProtocol, len(command), s.MaxCommand()))
	}
	answer, err := s.engine.Transmit(ctx, command)
	if err != nil {
		return nil, s.fail("transmit", err)
	}
	return answer, nil
}

// MaxCommand is the longest command in bytes that the wire can carry.
func (s *Element) MaxCommand() int {
	if s.opts.Dialect.Bare != 0 {
		return s.opts.Dialect.MaxINF
	}
	return apdu.MaxCommand
}

// ready tells whether a call can reach the chip.
func (s *Element) ready(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !s.on {
		return drivers.ErrPoweredOff
	}
	return nil
}

// PowerOff implements [drivers.SE]. With a reset line the chip is held in
// reset; without, it is told that its use has ended and falls asleep.
func (s *Element) PowerOff(ctx context.Context) error {
	if !s.on {
		return nil
	}
	s.on = false
	var err error
	if s.opts.Reset != nil {
		err = s.opts.Reset.hold()
	} else if end := s.opts.Dialect.End; end != t1.NoS {
		_, err = s.engine.Request(ctx, end, nil)
	}
	if err != nil {
		return s.fail("power off", err)
	}
	return nil
}

// Keeps implements [drivers.Keeper].
func (s *Element) Keeps() error {
	if s.opts.Reset != nil || s.opts.Dialect.Clears {
		return nil
	}
	return fmt.Errorf("%s has no reset pin, and what clears a chip that speaks %s is not known: connect its reset or the switch of its supply and name it by the key reset", s, s.opts.Dialect.Name)
}

func (s *Element) fail(op string, err error) error {
	return fmt.Errorf("%s: %s: %w", s, op, err)
}
