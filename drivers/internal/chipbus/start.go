package chipbus

import (
	"context"
	"fmt"
	"time"

	"github.com/cloud-of-se/tses/drivers"
	"github.com/cloud-of-se/tses/drivers/internal/t1"
)

// start resets the chip, asks it who it is, and speaks from then on as it
// wants. The chip is on when it has succeeded.
func (s *Element) start(ctx context.Context, kind drivers.ResetKind) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.on = false
	hello, err := s.reset(ctx, kind)
	if err != nil {
		return nil, err
	}
	if hello == nil {
		if err := s.speak(s.opts.Timing, Identity{}); err != nil {
			return nil, err
		}
		if hello, err = s.hello(ctx); err != nil {
			return nil, err
		}
	}
	id, err := parseIdentity(&s.opts.Dialect, s.opts.Kind, hello, s.opts.Timing)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", drivers.ErrProtocol, err)
	}
	if err := s.adopt(ctx, id); err != nil {
		return nil, err
	}
	s.on = true
	return id.atr(&s.opts.Dialect)
}

// firstContact is how long a chip that has never answered may refuse a block.
const firstContact = 100 * time.Millisecond

// speak makes a new engine for a chip in its first state that wants the bus
// used as t tells.
func (s *Element) speak(t Timing, id Identity) error {
	d, bwt := s.opts.Dialect, s.opts.BWT
	if bwt == 0 {
		bwt = id.BWT
	}
	if id.HasEDC {
		d.EDC = id.EDC
	}
	refused := time.Duration(0)
	if s.id.Raw == nil { // never heard of: it has not been left in a command
		refused = max(t.Boot, firstContact)
	}
	if s.link == nil {
		s.link = newLink(s.bus, s.opts.Ready)
	}
	s.link.dialect, s.link.timing, s.link.stale = d, t, s.opts.Kind == SPI
	s.engine = t1.New(s.link, t1.Config{
		Dialect: d, IFSC: id.IFSC, BWT: bwt, SelfReset: SelfReset,
		MaxWTX: s.opts.MaxWTX, Refused: refused, RefusedPause: t.Poll,
	})
	clock := t.Clock
	if s.opts.MaxClock > 0 {
		clock = min(clock, s.opts.MaxClock)
	}
	return s.bus.SetClock(clock)
}

// reset resets the chip by its line or by an S-block and waits until it
// listens. Where the answer to the S-block is the chip's hello, it is returned.
func (s *Element) reset(ctx context.Context, kind drivers.ResetKind) ([]byte, error) {
	d := &s.opts.Dialect
	if s.opts.Reset != nil && (kind == drivers.Cold || d.SoftReset == t1.NoS) {
		return nil, s.pulse(ctx)
	}
	t := s.opts.Timing
	if s.id.Raw != nil { // it may still want what it said when it was on
		t = t.and(s.id.Timing)
	}
	answer, err := s.softReset(ctx, t)
	if err != nil {
		return nil, fmt.Errorf("software reset: %w", err)
	}
	if d.SoftReset == d.HelloS {
		return answer, nil
	}
	return nil, sleep(ctx, t.Boot)
}

// softReset asks for a reset by an S-block. A chip that has told another
// checksum than its first one may have either.
func (s *Element) softReset(ctx context.Context, t Timing) (answer []byte, err error) {
	d := s.opts.Dialect
	for _, id := range []Identity{{HasEDC: s.id.HasEDC, EDC: s.id.EDC}, {}} {
		if err := s.speak(t, id); err != nil {
			return nil, err
		}
		answer, err = s.engine.Request(ctx, d.SoftReset, nil)
		if err == nil || ctx.Err() != nil || !id.HasEDC || id.EDC == d.EDC {
			break
		}
	}
	return answer, err
}

// pulse resets the chip by its line.
func (s *Element) pulse(ctx context.Context) error {
	line := s.opts.Reset
	if err := line.hold(); err != nil {
		return err
	}
	if err := sleep(ctx, line.Pulse); err != nil {
		return err // the chip stays in reset
	}
	if err := line.release(); err != nil {
		return err
	}
	return sleep(ctx, s.opts.Timing.Boot)
}

// hello asks the chip who it is.
func (s *Element) hello(ctx context.Context) ([]byte, error) {
	d := &s.opts.Dialect
	if d.Hello == t1.HelloATP {
		return s.readATP(ctx)
	}
	if d.HelloS == t1.NoS {
		return []byte{}, nil
	}
	answer, err := s.engine.Request(ctx, d.HelloS, nil)
	if err != nil {
		return nil, fmt.Errorf("asking for its parameters: %w", err)
	}
	return answer, nil
}

// readATP reads what an ST54 sends by itself: a length byte, then the rest.
func (s *Element) readATP(ctx context.Context) ([]byte, error) {
	const tries = 3
	var length [1]byte
	for range tries {
		if err := s.link.access(s.bus.Read, length[:]); err != nil {
			return nil, err
		}
		if length[0] != 0x00 && length[0] != 0xFF {
			break
		}
		if err := sleep(ctx, s.opts.Timing.Boot); err != nil {
			return nil, err
		}
	}
	if length[0] == 0x00 || length[0] == 0xFF {
		return nil, fmt.Errorf("%w: no ATP after the reset pulse", drivers.ErrMute)
	}
	atp := make([]byte, 1+int(length[0]))
	atp[0] = length[0]
	for read := 1; read < len(atp); {
		n := s.link.most(len(atp) - read)
		s.link.guard(false)
		if err := s.link.access(s.bus.Read, atp[read:read+n]); err != nil {
			return nil, err
		}
		read += n
	}
	return atp, nil
}

// adopt speaks as the chip wants from now on.
func (s *Element) adopt(ctx context.Context, id Identity) error {
	s.id = id
	if err := s.speak(id.Timing, id); err != nil {
		return err
	}
	ifsd := s.opts.IFSD
	if ifsd == 0 {
		ifsd = s.opts.Dialect.MaxINF
	}
	switch s.opts.Dialect.IFS {
	case t1.IFSAlways:
		ifsd = min(ifsd, id.IFSC)
	case t1.IFSBoth: // more than it offers is refused
		ifsd = min(ifsd, id.MaxIFSC)
	}
	return s.engine.Announce(ctx, ifsd)
}
