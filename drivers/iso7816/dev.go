package iso7816

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cloud-of-se/tses/apdu"
	"github.com/cloud-of-se/tses/drivers"
	"periph.io/x/conn/v3"
	"periph.io/x/conn/v3/physic"
)

// Dev is one card slot. It takes one call at a time, but String.
type Dev struct {
	uart     UART
	contacts Contacts
	clock    Clock
	opts     Opts
	name     string

	on      bool      // the contacts are active
	lost    bool      // T=0: the card is out of step
	offAt   time.Time // of the last deactivation
	session *session  // nil where it is off

	plain  []byte // the answer to reset of a card that confirms a PPS and does not mean it
	misled bool   // the last attempt ended so
}

var (
	_ drivers.SE    = (*Dev)(nil)
	_ conn.Resource = (*Dev)(nil)
)

// Frequencies of CLK at which a card may be activated. The standard has 1 to 5
// MHz (ISO/IEC 7816-3, 5.2.3); the upper bound is that of adapters with a
// crystal of 6 MHz, which many cards bear.
const (
	minClock = 1 * physic.MegaHertz
	maxClock = 6 * physic.MegaHertz
)

// New makes a driver from the three things that a card needs. opts may be nil:
// [DefaultOpts]. The contacts are brought to their state without power. A UART that has no parity or cannot do
// the rate of an answer to reset is refused with [ErrUnsupported]. The parts
// are the driver's until [Dev.Close].
func New(uart UART, contacts Contacts, clock Clock, opts *Opts) (*Dev, error) {
	if opts == nil {
		opts = &DefaultOpts
	}
	d := &Dev{uart: uart, contacts: contacts, clock: clock, opts: *opts, name: "iso7816(" + uart.String() + ")"}
	if err := d.opts.check(); err != nil {
		return nil, fmt.Errorf("%s: %w", d, err)
	}
	if f := clock.Frequency(); f < minClock || f > maxClock {
		return nil, fmt.Errorf("%s: %w: a card's clock is %v to %v, that of %s is %v", d, ErrUnsupported, minClock, maxClock, clock, f)
	}
	if err := uart.Configure(d.mode(apdu.ParseRate(defaultRate))); err != nil {
		return nil, fmt.Errorf("%s: %w", d, err)
	}
	d.on = true // whoever had the slot before may have left it so
	if err := d.deactivate(); err != nil {
		return nil, fmt.Errorf("%s: %w", d, err)
	}
	return d, nil
}

// mode is that of the UART for a rate: direct convention, 12 etu.
func (d *Dev) mode(rate apdu.Rate) Mode {
	m := Mode{Rate: bitRate(rate, d.clock.Frequency()), Parity: Even, Stop: 2}
	if d.opts.NoParity {
		m.Parity = NoParity
	}
	return m
}

// String is "iso7816(/dev/ttyAMA0)".
func (d *Dev) String() string { return d.name }

// PowerOn implements [drivers.SE].
func (d *Dev) PowerOn(ctx context.Context) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, d.fail("power on", err)
	}
	err := d.deactivate()
	if err == nil {
		err = d.present(drivers.ErrNoCard)
	}
	if err != nil {
		return nil, d.fail("power on", err)
	}
	atr, err := d.connect(ctx, drivers.Cold)
	return atr, d.fail("power on", err)
}

// Reset implements [drivers.SE].
func (d *Dev) Reset(ctx context.Context, kind drivers.ResetKind) ([]byte, error) {
	op := kind.String() + " reset"
	if err := d.ready(ctx); err != nil {
		return nil, d.fail(op, err)
	}
	atr, err := d.connect(ctx, kind)
	return atr, d.fail(op, err)
}

// Transmit implements [drivers.SE].
func (d *Dev) Transmit(ctx context.Context, command []byte) ([]byte, error) {
	if err := d.ready(ctx); err != nil {
		return nil, d.fail("transmit", err)
	}
	if d.lost {
		return nil, d.fail("transmit", fmt.Errorf("%w: out of step with the card; reset it", drivers.ErrMute))
	}
	response, lost, err := d.session.transmit(ctx, command)
	d.lost = lost
	if errors.Is(err, drivers.ErrMute) {
		if gone := d.present(drivers.ErrRemoved); gone != nil {
			err = fmt.Errorf("%w: %w", gone, err)
		}
	}
	return response, d.fail("transmit", err)
}

// PowerOff implements [drivers.SE]. It takes microseconds and does not look at
// the context.
func (d *Dev) PowerOff(context.Context) error { return d.fail("power off", d.deactivate()) }

// Halt implements [conn.Resource]: it powers the card off.
func (d *Dev) Halt() error { return d.PowerOff(context.Background()) }

// Close powers the card off and closes the UART.
func (d *Dev) Close() error {
	return d.fail("close", errors.Join(d.deactivate(), d.clock.Stop(), d.uart.Close()))
}

func (d *Dev) fail(op string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %s: %w", d, op, err)
}

// ready tells whether a reset or a command can reach the card.
func (d *Dev) ready(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if d.session == nil {
		return drivers.ErrPoweredOff
	}
	return d.present(drivers.ErrRemoved)
}

// present fails with missing where the slot is empty. A card that was pulled
// out is switched off.
func (d *Dev) present(missing error) error {
	there, err := d.contacts.Present()
	if err != nil {
		return fmt.Errorf("card detection: %w", err)
	}
	if there {
		return nil
	}
	d.plain = nil
	return errors.Join(missing, d.deactivate())
}
