package iso7816

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/cloud-of-se/tses/apdu"
	"github.com/cloud-of-se/tses/drivers"
	"github.com/cloud-of-se/tses/drivers/internal/t1"
)

// session is one activation of a card, from its answer to reset on.
type session struct {
	d        *Dev
	link     *link
	atr      apdu.ATR
	protocol int
	agreed   bool      // by PPS
	rate     apdu.Rate // as spoken now
	t0       *t0
	t1       *t1.Engine
}

// Reasons to begin again with a warm reset.
var (
	errSpecific = errors.New("the specific mode of the card cannot be spoken")
	// errAgreed: the card has confirmed a PPS and is mute since, or talks nonsense.
	errAgreed = errors.New("the card does not speak as it has agreed to")
	// errUnfit: no further attempt can help.
	errUnfit = errors.New("the card does not fit")
)

// negotiate goes from the answer to reset to the protocol that will be spoken.
func (s *session) negotiate(ctx context.Context, usePPS bool) error {
	if err := s.checkClass(); err != nil {
		return err
	}
	if err := s.settle(ctx, usePPS); err != nil {
		return err
	}
	if s.protocol == 1 {
		err := s.startT1(ctx)
		if err != nil && s.agreed {
			err = fmt.Errorf("%w: %w", errAgreed, err)
		}
		return err
	}
	fi := max(s.atr.Rate().Fi, s.rate.Fi) // Fi may be reserved, 0
	wi := s.atr.T0WI()
	if wi == 0 {
		wi = 10 // reserved: the default
	}
	s.t0 = &t0{
		link: s.link, maxNulls: s.d.opts.MaxWaits,
		wt: clocks(wi*960*fi, s.d.clock.Frequency()),
	}
	return nil
}

// checkClass refuses a card that says that it does not take this VCC.
func (s *session) checkClass() error {
	told := false
	for i, g := range s.atr.Groups {
		told = told || i > 0 && g.T == 15 && g.TA.Present
	}
	class := s.d.opts.Class
	if told && class != 0 && s.atr.Classes()&class == 0 {
		return fmt.Errorf("%w: %w: VCC is of class %02X and the card takes %02X", errUnfit, ErrUnsupported, class, s.atr.Classes())
	}
	return nil
}

// settle finds protocol and rate.
func (s *session) settle(ctx context.Context, usePPS bool) error {
	if specific, ok := s.atr.Specific(); ok {
		return s.speakSpecific(specific)
	}
	want, rates, err := s.wishes()
	if err != nil {
		return err
	}
	first := s.atr.Protocols()[0]
	if err := s.configure(apdu.ParseRate(defaultRate), false); err != nil {
		return err
	}
	s.protocol = first
	if usePPS && (want != first || len(rates) > 0) {
		if err := s.speakPPS(ctx, want, rates); err != nil {
			return err
		}
	}
	if s.protocol > 1 || s.d.opts.Protocol != Auto && s.protocol != want {
		return fmt.Errorf("%w: %w: it speaks T=%d and cannot be brought to T=%d", errUnfit, ErrUnsupported, s.protocol, want)
	}
	return s.configure(s.rate, s.protocol == 1)
}

// wishes are the protocol to be spoken and the rates that PPS may ask for.
func (s *session) wishes() (protocol int, rates []byte, err error) {
	switch opts := &s.d.opts; {
	case opts.Protocol != T0 && s.atr.Offers(1):
		protocol = 1
	case opts.Protocol != T1 && s.atr.Offers(0):
	default:
		return 0, nil, fmt.Errorf("%w: %w: it offers T=%v", errUnfit, ErrUnsupported, s.atr.Protocols())
	}
	ta1 := byte(defaultRate)
	if len(s.atr.Groups) > 0 && s.atr.Groups[0].TA.Present {
		ta1 = s.atr.Groups[0].TA.Value
	}
	return protocol, offers(ta1, s.d.clock.Frequency(), s.d.opts.MaxRate), nil
}

// speakPPS asks for a protocol and the fastest rate that the UART can do.
func (s *session) speakPPS(ctx context.Context, protocol int, rates []byte) error {
	request := pps{protocol: protocol}
	for _, code := range rates {
		err := s.configure(apdu.ParseRate(code), protocol == 1)
		if err == nil {
			request.rate, request.hasRate = code, true
			break
		}
		if !errors.Is(err, ErrUnsupported) {
			return err
		}
	}
	if err := s.configure(apdu.ParseRate(defaultRate), false); err != nil {
		return err
	}
	if !request.hasRate && protocol == s.protocol {
		return nil
	}
	response, err := s.link.exchangePPS(ctx, request)
	if err != nil {
		return err
	}
	s.protocol, s.agreed = protocol, true
	if response.hasRate {
		s.rate = apdu.ParseRate(response.rate)
	}
	return nil
}

// speakSpecific takes the mode of TA(2) (ISO/IEC 7816-3, 8.3).
func (s *session) speakSpecific(m apdu.SpecificMode) error {
	why := s.unfitSpecific(m)
	if why == nil {
		s.protocol = m.T
		why = s.configure(s.atr.Rate(), m.T == 1)
	}
	if why != nil && m.Fixed {
		return fmt.Errorf("%w: %w", errUnfit, why)
	}
	if why != nil {
		return fmt.Errorf("%w: %w", errSpecific, why)
	}
	return nil
}

func (s *session) unfitSpecific(m apdu.SpecificMode) error {
	rate := s.atr.Rate()
	switch {
	case m.T > 1, s.d.opts.Protocol == T0 && m.T != 0, s.d.opts.Protocol == T1 && m.T != 1:
		return fmt.Errorf("%w: it insists on T=%d", ErrUnsupported, m.T)
	case m.Implicit:
		return fmt.Errorf("%w: it does not tell its rate", ErrUnsupported)
	case rate.Fi == 0 || rate.Di == 0:
		return fmt.Errorf("%w: its rate is coded by a reserved value", ErrUnsupported)
	}
	return nil
}

// configure sets UART and link to a rate, and to the character frame that the
// card asks for by N of TC(1).
func (s *session) configure(rate apdu.Rate, forT1 bool) error {
	l := s.link
	m := s.d.mode(rate)
	n := s.atr.ExtraGuardTime()
	gap, guard := charTime, charTime
	switch {
	case n == 255 && forT1:
		m.Stop = 1
		gap, guard = charTime-1, charTime-1
	case n != 255:
		guard += float64(n) * s.guardUnit(rate)
	}
	if l.inverse && !l.blind {
		m.Parity = Odd
	}
	if err := s.d.uart.Configure(m); err != nil {
		return err
	}
	s.rate = rate
	l.flipped = false
	l.etu, l.gap, l.guard = etuOf(rate, s.d.clock.Frequency()), gap, guard
	return nil
}

// guardUnit is in which etu N is counted: those of now, or with T=15 in the
// answer to reset those of TA(1) (ISO/IEC 7816-3, 8.3).
func (s *session) guardUnit(now apdu.Rate) float64 {
	for i, g := range s.atr.Groups {
		if top := s.atr.Rate(); i > 0 && g.T == 15 && top.Fi > 0 && top.Di > 0 {
			return float64(top.Fi) / float64(top.Di) * float64(now.Di) / float64(now.Fi)
		}
	}
	return 1
}

// startT1 makes the engine and tells the card how much the driver can take.
func (s *session) startT1(ctx context.Context) error {
	p := s.atr.T1()
	f := s.d.clock.Frequency()
	link := &t1link{link: s.link, cwt: s.link.etus(11 + math.Exp2(float64(p.CWI))), edc: 1}
	if p.CRC {
		link.edc = 2
	}
	s.t1 = t1.New(link, t1.Config{
		Dialect: t1.ISO7816(p.CRC),
		IFSC:    min(max(p.IFSC, 1), 254),
		BWT:     s.link.etus(11) + clocks((1<<p.BWI)*960*372, f),
		// A card that restarts by itself sends an answer to reset first: 400
		// clocks and two characters at the least.
		SelfReset: clocks(resetClocks+2*12*372, f),
		MaxWTX:    s.d.opts.MaxWaits,
	})
	if err := s.t1.Announce(ctx, 254); err != nil {
		return fmt.Errorf("T=1: %w", err)
	}
	return nil
}

// transmit carries one APDU. lost says that the card is out of step.
func (s *session) transmit(ctx context.Context, command []byte) (response []byte, lost bool, err error) {
	if s.protocol == 1 {
		response, err = s.t1.Transmit(ctx, command)
		return response, false, err // the engine knows itself
	}
	response, mayRun, err := s.t0.transmit(ctx, command)
	if err == nil {
		return response, false, nil
	}
	lost = s.t0.broken
	cancelled := ctx.Err() != nil && errors.Is(err, ctx.Err())
	if lost && !cancelled && !errors.Is(err, drivers.ErrMute) {
		err = fmt.Errorf("%w: %w", drivers.ErrProtocol, err)
	}
	if mayRun {
		err = fmt.Errorf("%w: %w", err, drivers.ErrOutcomeUnknown)
	}
	return nil, lost, err
}

// newLink is a link for an answer to reset.
func (d *Dev) newLink() *link {
	etu := etuOf(apdu.ParseRate(defaultRate), d.clock.Frequency())
	return &link{
		uart: d.uart, blind: d.opts.NoParity, echo: !d.opts.NoEcho, careful: d.opts.Repeat,
		etu: etu, gap: charTime, guard: charTime,
		slack: d.opts.Latency, fifo: float64(d.opts.FIFODelay), last: time.Now(),
	}
}
