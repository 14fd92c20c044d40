package spi

import (
	"context"
	"fmt"
	"time"

	"periph.io/x/conn/v3"
	"periph.io/x/conn/v3/physic"
	"periph.io/x/conn/v3/spi"

	"github.com/cloud-of-se/tses/drivers"
	"github.com/cloud-of-se/tses/drivers/internal/chipbus"
)

var (
	_ drivers.Keeper = (*Dev)(nil)
	_ conn.Resource  = (*Dev)(nil)
)

// Dev is a secure element on a port.
type Dev struct{ element *chipbus.Element }

// limiter is a port whose clock can change after Connect, as those of
// periph.io's sysfs can.
type limiter interface {
	LimitSpeed(f physic.Frequency) error
}

// New makes the driver of the chip behind port p, which stays the caller's. It
// connects to the port, which can be done once. A port without the method
// LimitSpeed of [spi.PortCloser] keeps the clock that the chip takes before it
// has told its own, 1 MHz or less.
func New(p spi.Port, opts *Opts) (*Dev, error) {
	name := fmt.Sprintf("spi(%s)", p)
	options, err := opts.options(name)
	if err != nil {
		return nil, err
	}
	clock := physic.Frequency(options.Timing.Clock) * physic.Hertz
	limit, canLimit := p.(limiter)
	switch {
	case canLimit && opts.MaxClock > 0:
		clock = opts.MaxClock
	case canLimit:
		clock = anyClock
	case opts.MaxClock > 0:
		clock = min(clock, opts.MaxClock)
	}
	c, err := p.Connect(clock, spi.Mode0, 8)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	element, err := chipbus.New(newPlace(c, limit), options)
	if err != nil {
		return nil, err
	}
	return &Dev{element}, nil
}

// anyClock is more than any chip's.
const anyClock = 100 * physic.MegaHertz

// PowerOn implements [drivers.SE]. On SPI a missing chip and a mute one look
// the same: it fails with [drivers.ErrMute] for both.
func (d *Dev) PowerOn(ctx context.Context) ([]byte, error) { return d.element.PowerOn(ctx) }

// Reset implements [drivers.SE]. Without a reset pin a cold reset is a warm one.
func (d *Dev) Reset(ctx context.Context, kind drivers.ResetKind) ([]byte, error) {
	return d.element.Reset(ctx, kind)
}

// Transmit implements [drivers.SE].
func (d *Dev) Transmit(ctx context.Context, command []byte) ([]byte, error) {
	return d.element.Transmit(ctx, command)
}

// PowerOff implements [drivers.SE]. With a reset pin the chip is held in reset;
// without, it is told that its use has ended; see Keeps.
func (d *Dev) PowerOff(ctx context.Context) error { return d.element.PowerOff(ctx) }

// Keeps implements [drivers.Keeper]: a chip without a reset pin keeps PIN states,
// unless its dialect has a reset of the whole chip (gp, nxp-gp).
func (d *Dev) Keeps() error { return d.element.Keeps() }

// String implements [drivers.SE]: "spi(SPI0.0)".
func (d *Dev) String() string { return d.element.String() }

// haltTime bounds Halt.
const haltTime = 2 * time.Second

// Halt implements [conn.Resource]: it powers the chip off.
func (d *Dev) Halt() error {
	ctx, cancel := context.WithTimeout(context.Background(), haltTime)
	defer cancel()
	return d.element.PowerOff(ctx)
}

// Parameters are what the chip said about itself when it was powered on last,
// as it came: CIP, ATR or ATP.
func (d *Dev) Parameters() []byte { return append([]byte(nil), d.element.Identity().Raw...) }
