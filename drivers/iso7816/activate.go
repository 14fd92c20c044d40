package iso7816

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cloud-of-se/tses/apdu"
	"github.com/cloud-of-se/tses/drivers"
)

// connect resets the card and agrees with it on how to speak. A card that
// cannot be brought to speak is switched off.
func (d *Dev) connect(ctx context.Context, kind drivers.ResetKind) ([]byte, error) {
	var errs []error
	usePPS, again := true, kind
	for left := d.opts.Attempts; left > 0; left-- {
		if left == 1 && d.opts.Protocol != T1 && len(errs) > 0 && errors.Is(errs[len(errs)-1], errAgreed) {
			usePPS = false
		}
		atr, err := d.try(ctx, again, usePPS)
		if err == nil {
			return atr, nil
		}
		errs = append(errs, err)
		again = kind
		switch {
		case ctx.Err() != nil, errors.Is(err, errUnfit):
			return nil, errors.Join(err, d.deactivate())
		case errors.Is(err, errPPS):
			usePPS, again = false, drivers.Warm
		case errors.Is(err, errSpecific):
			again = drivers.Warm
		}
	}
	last := errs[len(errs)-1]
	if !errors.Is(last, drivers.ErrMute) && !errors.Is(last, drivers.ErrProtocol) {
		last = fmt.Errorf("%w: %w", drivers.ErrProtocol, last)
	}
	return nil, errors.Join(fmt.Errorf("%w (attempt %d)", last, len(errs)), d.deactivate())
}

// try is one reset up to the protocol.
func (d *Dev) try(ctx context.Context, kind drivers.ResetKind, usePPS bool) ([]byte, error) {
	l, err := d.reset(ctx, kind)
	if err != nil {
		return nil, err
	}
	raw, err := l.receiveATR(ctx, clocks(muteClocks, d.clock.Frequency()), d.opts.AnyTCK)
	if err != nil {
		return nil, err
	}
	atr, err := parseATR(raw, d.opts.AnyTCK)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", drivers.ErrProtocol, err)
	}
	s := &session{d: d, link: l, atr: atr}
	known := bytes.Equal(raw, d.plain)
	err = s.negotiate(ctx, usePPS && !known)
	d.remember(raw, known, usePPS, err)
	if err != nil {
		return nil, err
	}
	d.session, d.lost = s, false
	return raw, nil
}

// remember keeps the answer to reset of a card that has to be spoken to without
// PPS although it confirms one: finding that out takes many seconds.
func (d *Dev) remember(atr []byte, known, usePPS bool, err error) {
	switch {
	case err == nil && !known && !usePPS && d.misled:
		d.plain = atr
	case err != nil && known:
		d.plain = nil
	}
	d.misled = errors.Is(err, errAgreed)
}

// reset leaves RST high and the link ready for the answer to reset.
func (d *Dev) reset(ctx context.Context, kind drivers.ResetKind) (*link, error) {
	if kind == drivers.Cold {
		if err := d.deactivate(); err != nil {
			return nil, err
		}
		if err := sleep(ctx, time.Until(d.offAt.Add(d.opts.PowerDown))); err != nil {
			return nil, err
		}
	}
	d.session = nil
	if err := d.hold(ctx); err != nil {
		return nil, err
	}
	if err := sleep(ctx, clocks(resetClocks, d.clock.Frequency())); err != nil {
		return nil, err
	}
	l := d.newLink()
	if _, err := l.stale(ctx); err != nil {
		return nil, fmt.Errorf("before the answer to reset: %w", err)
	}
	if err := d.contacts.SetRST(true); err != nil {
		return nil, fmt.Errorf("RST high: %w", err)
	}
	l.last = time.Now()
	return l, nil
}

// hold brings RST low on a card that gets power and clock; for one that is off
// that is the activation (ISO/IEC 7816-3, 6.2.1).
func (d *Dev) hold(ctx context.Context) error {
	if err := d.contacts.SetRST(false); err != nil {
		return fmt.Errorf("RST low: %w", err)
	}
	if err := d.uart.Configure(d.mode(apdu.ParseRate(defaultRate))); err != nil {
		return err
	}
	if d.on {
		return nil
	}
	d.on = true // from here on there is something to switch off
	if err := d.contacts.SetVCC(true); err != nil {
		return fmt.Errorf("VCC on: %w", err)
	}
	if err := sleep(ctx, d.opts.PowerUp); err != nil {
		return err
	}
	if err := d.uart.SetBreak(false); err != nil {
		return fmt.Errorf("I/O: %w", err)
	}
	if err := d.clock.Start(); err != nil {
		return fmt.Errorf("CLK: %w", err)
	}
	return nil
}

// deactivate takes the power away in the order of ISO/IEC 7816-3, 6.4. Where a
// step fails the following ones are done all the same.
func (d *Dev) deactivate() error {
	d.session, d.lost = nil, false
	if !d.on {
		return nil
	}
	d.on = false
	var errs []error
	for _, step := range []struct {
		what string
		do   func() error
	}{
		{"RST low", func() error { return d.contacts.SetRST(false) }},
		{"CLK low", d.clock.Stop},
		{"I/O low", func() error { return d.uart.SetBreak(true) }},
		{"VCC off", func() error { return d.contacts.SetVCC(false) }},
	} {
		if err := step.do(); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", step.what, err))
		}
	}
	d.offAt = time.Now()
	return errors.Join(errs...)
}
