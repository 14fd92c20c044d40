package cardsim

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/cloud-of-se/tses/drivers/iso7816"
	"periph.io/x/conn/v3/physic"
)

// Slot is a card with the line to it. It implements [iso7816.UART],
// [iso7816.Contacts] and [iso7816.Clock].
type Slot struct {
	mu   sync.Mutex
	wire wire
	card *card
}

var (
	_ iso7816.UART     = (*Slot)(nil)
	_ iso7816.Contacts = (*Slot)(nil)
	_ iso7816.Clock    = (*Slot)(nil)
)

// New makes a card that has no power. It fails where Options have no brain or
// no good answer to reset.
func New(opts Options) (*Slot, error) {
	if opts.Brain == nil {
		return nil, errors.New("cardsim: Options.Brain is missing")
	}
	if opts.Clock == 0 {
		opts.Clock = 3840 * physic.KiloHertz
	}
	s := &Slot{wire: wire{epoch: time.Now(), mode: iso7816.Mode{Rate: 9600, Stop: 2}, noise: opts.Noise, noEcho: opts.NoEcho}}
	card, err := newCard(&s.wire, opts)
	if err != nil {
		return nil, fmt.Errorf("cardsim: %w", err)
	}
	s.card = card
	return s, nil
}

// Violations are what the terminal has done against the standard: the order of
// activation, guard times, characters while the card sends.
func (s *Slot) Violations() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.card.violations...)
}

// Rate is the rate in bits per second that the card speaks at, and the protocol.
func (s *Slot) Rate() (bitsPerSecond float64, protocol int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return 1e9 / s.card.etu, s.card.protocol
}

// Configure implements [iso7816.UART].
func (s *Slot) Configure(m iso7816.Mode) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if limit := s.card.opts.MaxRate; limit > 0 && m.Rate > limit {
		return fmt.Errorf("%w: %d bits/s, at most %d", iso7816.ErrUnsupported, m.Rate, limit)
	}
	s.wire.mode = m
	return nil
}

// Write implements [iso7816.UART].
func (s *Slot) Write(ctx context.Context, p []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advance(s.wire.now())
	s.wire.write(p, s.card.inverse)
	return nil
}

// Read implements [iso7816.UART].
func (s *Slot) Read(ctx context.Context, p []iso7816.Char, deadline time.Time) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	limit := max(deadline.Sub(s.wire.epoch), s.wire.now())
	n, last := s.foresee(len(p), limit)
	until := last
	if n == 0 {
		until = limit
	}
	if err := s.sleep(ctx, until); err != nil {
		return 0, err
	}
	if n == 0 {
		return 0, fmt.Errorf("simulated UART: %w", os.ErrDeadlineExceeded)
	}
	for i, a := range s.wire.toReader[:n] {
		p[i] = s.wire.seen(a)
	}
	s.wire.toReader = s.wire.toReader[:copy(s.wire.toReader, s.wire.toReader[n:])]
	return n, nil
}

// foresee works out how many characters a read of at most n gets and when it
// has the last of them: those which follow each other without a pause.
func (s *Slot) foresee(n int, limit time.Duration) (int, time.Duration) {
	gap := time.Duration(12.6 * s.wire.readerETU())
	var last time.Duration
	for i := range n {
		s.advanceTo(i, limit)
		if i >= len(s.wire.toReader) || s.wire.toReader[i].at > limit {
			return i, last
		}
		a := s.wire.toReader[i]
		if i > 0 && a.at > s.wire.now() && a.at-last > gap {
			return i, last
		}
		last = a.at
	}
	return n, last
}

// advance lets the card see what it has received until then.
func (s *Slot) advance(until time.Duration) {
	for s.card.step(until) {
	}
}

// advanceTo lets the card go on until it is settled what the i-th character to
// the terminal is, or until limit.
func (s *Slot) advanceTo(i int, limit time.Duration) {
	for {
		until := limit
		if i < len(s.wire.toReader) {
			until = min(until, s.wire.toReader[i].at)
		}
		if !s.card.step(until) {
			return
		}
	}
}

// sleep gives the lock back while it sleeps.
func (s *Slot) sleep(ctx context.Context, until time.Duration) error {
	d := until - s.wire.now()
	if d <= 0 {
		return ctx.Err()
	}
	s.mu.Unlock()
	defer s.mu.Lock()
	if ctx.Done() == nil {
		time.Sleep(d)
		return nil
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

// SetBreak implements [iso7816.UART].
func (s *Slot) SetBreak(low bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.card.setIO(!low)
	return nil
}

// Close implements [iso7816.UART].
func (s *Slot) Close() error { return nil }

// String is "simulated".
func (s *Slot) String() string { return "simulated" }

// Present implements [iso7816.Contacts].
func (s *Slot) Present() (bool, error) {
	empty := s.card.opts.Empty
	return empty == nil || !empty(), nil
}

// SetVCC implements [iso7816.Contacts].
func (s *Slot) SetVCC(on bool) error { return s.contact(func(c *card) { c.setVCC(on) }) }

// SetRST implements [iso7816.Contacts].
func (s *Slot) SetRST(high bool) error { return s.contact(func(c *card) { c.setRST(high) }) }

// Start implements [iso7816.Clock].
func (s *Slot) Start() error { return s.contact(func(c *card) { c.setCLK(true) }) }

// Stop implements [iso7816.Clock].
func (s *Slot) Stop() error { return s.contact(func(c *card) { c.setCLK(false) }) }

func (s *Slot) contact(change func(*card)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advance(s.wire.now())
	change(s.card)
	return nil
}

// Frequency implements [iso7816.Clock].
func (s *Slot) Frequency() physic.Frequency { return s.card.opts.Clock }
