package boards

import (
	"errors"
	"fmt"
	"io"

	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/physic"
	periphspi "periph.io/x/conn/v3/spi"

	"github.com/cloud-of-se/tses/drivers"
	"github.com/cloud-of-se/tses/drivers/i2c"
	"github.com/cloud-of-se/tses/drivers/iso7816"
	"github.com/cloud-of-se/tses/drivers/spi"
)

// Open opens the driver of a wiring that [Board.Check] has not refused.
// Whether the chip answers shows when it is powered on. Closing gives back the
// bus and the pins; the SE is to be powered off before.
func (b *Board) Open(w Wiring, ports Ports) (drivers.SE, io.Closer, error) {
	p := plan{Wiring: &w}
	if r := b.locate(&p); r != nil {
		return nil, nil, r
	}
	var se drivers.SE
	var closer io.Closer
	var err error
	switch w.Driver {
	case I2C:
		se, closer, err = openI2C(&p, ports)
	case SPI:
		se, closer, err = b.openSPI(&p, ports)
	case ISO7816:
		se, closer, err = b.openCard(&p, ports)
	default:
		err = fmt.Errorf("driver %.32q hangs on no bus", w.Driver)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("element %q: %w", w.Name, err)
	}
	return se, closer, nil
}

func openI2C(p *plan, ports Ports) (drivers.SE, io.Closer, error) {
	opts, err := p.i2cOpts(ports)
	if err != nil {
		return nil, nil, err
	}
	bus, err := ports.I2C(p.deviceFile())
	if err != nil {
		return nil, nil, err
	}
	se, err := i2c.New(bus, p.Address, &opts)
	if err != nil {
		return nil, nil, errors.Join(err, bus.Close())
	}
	return se, bus, nil
}

func (p *plan) i2cOpts(ports Ports) (i2c.Opts, error) {
	opts := i2c.DefaultOpts
	pins, err := p.pins(ports)
	if err != nil {
		return opts, err
	}
	opts.Dialect, opts.Boot = p.Dialect, p.BootTime
	opts.Reset, opts.ResetActive = pins.reset, p.Reset.Active
	opts.Interrupt, opts.InterruptActive = pins.interrupt, p.Interrupt.Active
	if p.ResetPulse != 0 {
		opts.ResetPulse = p.ResetPulse
	}
	return opts, nil
}

func (b *Board) openSPI(p *plan, ports Ports) (drivers.SE, io.Closer, error) {
	opts, err := p.spiOpts(ports)
	if err != nil {
		return nil, nil, err
	}
	port, closer, err := b.port(p, ports)
	if err != nil {
		return nil, nil, err
	}
	se, err := spi.New(port, &opts)
	if err != nil {
		return nil, nil, errors.Join(err, closer.Close())
	}
	return se, closer, nil
}

// port is a chip's own: a chip select, or an output of a decoder behind one.
func (b *Board) port(p *plan, ports Ports) (periphspi.Port, io.Closer, error) {
	if p.Decoder != nil {
		return b.output(p, ports)
	}
	port, err := ports.SPI(p.deviceFile())
	return port, port, err
}

func (p *plan) spiOpts(ports Ports) (spi.Opts, error) {
	opts := spi.DefaultOpts
	pins, err := p.pins(ports)
	if err != nil {
		return opts, err
	}
	opts.Dialect, opts.Boot = p.Dialect, p.BootTime
	opts.Reset, opts.ResetActive = pins.reset, p.Reset.Active
	opts.Interrupt, opts.InterruptActive = pins.interrupt, p.Interrupt.Active
	if p.ResetPulse != 0 {
		opts.ResetPulse = p.ResetPulse
	}
	if p.Clock != 0 {
		opts.MaxClock = p.Clock
	}
	return opts, nil
}

// signals are the pins of a chip; nil are not wired.
type signals struct {
	reset     gpio.PinOut
	interrupt gpio.PinIn
}

func (p *plan) pins(ports Ports) (s signals, err error) {
	if p.Reset.Wired() {
		if s.reset, err = ports.Out(p.Reset.Pin); err != nil {
			return s, fmt.Errorf("reset: %w", err)
		}
	}
	if p.Interrupt.Wired() {
		if s.interrupt, err = ports.In(p.Interrupt.Pin); err != nil {
			return s, fmt.Errorf("interrupt: %w", err)
		}
	}
	return s, nil
}

// fifoDelay is for how many bits a PL011 holds a lone character back.
const fifoDelay = 32

func (b *Board) openCard(p *plan, ports Ports) (drivers.SE, io.Closer, error) {
	opts := iso7816.DefaultOpts
	opts.AnyTCK = p.AnyTCK
	at := CardPorts{
		Device: p.Device, Reset: p.Reset, Power: p.Power, Detect: p.Detect,
		Clock: b.cardClock(p), ClockPin: p.ClockPin,
	}
	if p.bus != nil {
		opts.FIFODelay = fifoDelay
		var ok bool
		if at.Device, ok = b.ttyNow(p.bus); !ok {
			return nil, nil, fmt.Errorf("%s is off: it has no tty", p.bus.name)
		}
	}
	if b.model != nil {
		at.SoC = b.model.chip.soc
	}
	uart, contacts, clock, err := ports.Card(at)
	if err != nil {
		return nil, nil, err
	}
	se, err := iso7816.New(uart, contacts, clock, &opts)
	if err != nil {
		return nil, nil, errors.Join(err, uart.Close())
	}
	return se, se, nil
}

// cardClock is the clock that is wished, or the board's usual one.
func (b *Board) cardClock(p *plan) physic.Frequency {
	if p.Clock != 0 || b.model == nil {
		return p.Clock
	}
	return b.model.chip.preset
}

// ttyNow finds a UART's tty; what is not this machine has none.
func (b *Board) ttyNow(u *bus) (string, bool) {
	if b.root == nil {
		return "", false
	}
	return b.tty(u)
}
