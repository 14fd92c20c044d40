package driverstest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/cloud-of-se/tses/drivers"
)

// A Card is what a [Scripted] SE answers with.
type Card uint8

const (
	// TestCard knows the whole script; see [Scripted].
	TestCard Card = iota
	// T0Card knows the same script and speaks T=0: it answers extended
	// commands with 6700, a wrong Le with 6CXX and data that the command did
	// not ask for with 61XX.
	T0Card
	// ChallengeCard knows SELECT and GET CHALLENGE only.
	ChallengeCard
)

// Options describe a [Scripted] SE. The zero value is a [TestCard].
type Options struct {
	Name string // for String; "card" where it is empty
	Card Card
	ATR  []byte // instead of the card's own

	// Answer, where it is set, sees every command before the script does.
	// With ok false the script answers. It may block until ctx is done.
	Answer func(ctx context.Context, command []byte) (response []byte, err error, ok bool)
}

// Scripted is a secure element for tests that answers by a fixed script:
//
//	00A40400 F000000000FF               6A82
//	         A00000000161 A0000000019F  6110 9F10, then pattern(16) 9000 by GET RESPONSE
//	         A000000001DA               pattern(8) 9000
//	00A4     anything else              9000
//	00B0     Le                         pattern(Le) 9000
//	0020 00D6 00D0                      9000
//	8010nnnn                            pattern(nnnn) 9000
//	8061nnnn 809Fnnnn                   61xx 9Fxx, then pattern(nnnn) 9000 by GET RESPONSE
//	8062nnnn                            DA7A 61xx, then the same
//	806Cxx                              6Cxx unless Le is xx, then pattern(xx) 9000
//	806Fxx                              6Cxx always
//	80E0 80E1                           the data, the whole command, 9000
//	805Annnn                            nnnn as status word
//	80DDnnnn                            waits nnnn ms, 9000
//	8001                                the one byte 90, which is no response
//	any other                           6D00
//
// pattern(n) is n bytes 00 01 02 and so on. 80100000 with an extended Le of
// 65,536 gives pattern(65536). Channel and secure messaging bits of CLA are
// not looked at. Responses are not cut at Le, but for [T0Card].
//
// The methods of [drivers.SE] are for one owner at a time; overlapping calls
// are served and counted. All others may be called at any time from any
// goroutine.
type Scripted struct {
	opts   Options
	atr    []byte
	fault  atomic.Int32
	busy   atomic.Int32
	counts counters

	mu    sync.Mutex // guards what follows; never held while waiting
	on    bool
	chain chain
}

// NewScripted makes a test card that is powered off.
func NewScripted(opts Options) *Scripted {
	if opts.Name == "" {
		opts.Name = "card"
	}
	atr := opts.ATR
	if atr == nil {
		atr = cardATR(opts.Card)
	}
	return &Scripted{opts: opts, atr: append([]byte(nil), atr...)}
}

// cardATR is the card's answer to reset. The historical bytes tell selection
// by full and partial DF name and, for T=1, extended length fields.
func cardATR(c Card) []byte {
	if c == T0Card {
		return []byte{0x3B, 0x08, 0x80, 0x73, 0xC0, 0x01, 0x00, 0x82, 0x90, 0x00}
	}
	atr := []byte{0x3B, 0x88, 0x01, 0x80, 0x73, 0xC0, 0x01, 0x40, 0x82, 0x90, 0x00}
	var tck byte
	for _, b := range atr[1:] {
		tck ^= b
	}
	return append(atr, tck)
}

// String is "scripted(NAME)".
func (s *Scripted) String() string { return "scripted(" + s.opts.Name + ")" }

// PowerOn implements [drivers.SE].
func (s *Scripted) PowerOn(ctx context.Context) ([]byte, error) {
	defer s.enter()()
	if err := s.admit(ctx, "power on"); err != nil {
		return nil, err
	}
	s.counts.powerOns.Add(1)
	s.set(true)
	return append([]byte(nil), s.atr...), nil
}

// Reset implements [drivers.SE].
func (s *Scripted) Reset(ctx context.Context, kind drivers.ResetKind) ([]byte, error) {
	defer s.enter()()
	if err := s.ready(ctx, kind.String()+" reset"); err != nil {
		return nil, err
	}
	if kind == drivers.Warm {
		s.counts.warmResets.Add(1)
	} else {
		s.counts.coldResets.Add(1)
	}
	s.set(true)
	return append([]byte(nil), s.atr...), nil
}

// Transmit implements [drivers.SE].
func (s *Scripted) Transmit(ctx context.Context, command []byte) ([]byte, error) {
	defer s.enter()()
	if err := s.ready(ctx, "transmit"); err != nil {
		return nil, err
	}
	s.counts.commands.Add(1)
	if s.opts.Answer != nil {
		if response, err, ok := s.opts.Answer(ctx, command); ok {
			return response, err
		}
	}
	response, err := s.answer(ctx, command)
	if err != nil {
		return nil, s.fail("transmit", errors.Join(err, drivers.ErrOutcomeUnknown))
	}
	return response, nil
}

// PowerOff implements [drivers.SE].
func (s *Scripted) PowerOff(ctx context.Context) error {
	defer s.enter()()
	if s.set(false) {
		s.counts.powerOffs.Add(1)
	}
	if s.Fault() == PowerOffFails {
		return s.fail("power off", drivers.ErrProtocol)
	}
	if s.Fault() == Hang {
		<-ctx.Done()
	}
	if err := ctx.Err(); err != nil {
		return s.fail("power off", err)
	}
	return nil
}

// set switches the power and forgets the pending response; it returns whether
// the power was on.
func (s *Scripted) set(on bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.on
	s.on, s.chain = on, chain{}
	return was
}

// ready tells whether a command or a reset can reach the card.
func (s *Scripted) ready(ctx context.Context, op string) error {
	if err := ctx.Err(); err != nil {
		return s.fail(op, err)
	}
	if !s.On() {
		return s.fail(op, drivers.ErrPoweredOff)
	}
	return s.admit(ctx, op)
}

func (s *Scripted) fail(op string, err error) error {
	return fmt.Errorf("%s: %s: %w", s, op, err)
}

// enter counts calls that overlap; the returned function ends the call.
func (s *Scripted) enter() func() {
	if s.busy.Add(1) > 1 {
		s.counts.overlaps.Add(1)
	}
	return func() { s.busy.Add(-1) }
}
