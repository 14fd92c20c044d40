package boards

import (
	"errors"
	"fmt"
	"io"

	"periph.io/x/conn/v3/gpio"

	"github.com/cloud-of-se/tses/drivers/iso7816"
)

// Card implements [Ports].
func (h host) Card(at CardPorts) (iso7816.UART, iso7816.Contacts, iso7816.Clock, error) {
	if err := there(at.Device); err != nil {
		return nil, nil, nil, err
	}
	tty, err := iso7816.OpenTTY(at.Device)
	if err != nil {
		return nil, nil, nil, err
	}
	contacts, err := h.contacts(at, tty)
	if err != nil {
		return nil, nil, nil, errors.Join(err, tty.Close())
	}
	if at.ClockPin == NoPin {
		return tty, contacts, iso7816.FixedClock(at.Clock), nil
	}
	clock, err := h.gpclk(at)
	if err != nil {
		return nil, nil, nil, errors.Join(fmt.Errorf("clock on %s: %w", at.ClockPin, err), tty.Close())
	}
	return &clocked{tty, clock}, contacts, clock, nil
}

func (h host) gpclk(at CardPorts) (*iso7816.GPCLK, error) {
	if h.clock != nil {
		return iso7816.NewGPCLK(at.SoC, h.clock, at.ClockPin.Number(), at.Clock)
	}
	return iso7816.OpenGPCLK(at.SoC, at.ClockPin.Number(), at.Clock)
}

// contacts are on pins or on the lines of an adapter.
func (h host) contacts(at CardPorts, tty *iso7816.TTY) (iso7816.Contacts, error) {
	if at.Reset.Modem != "" {
		return &iso7816.ModemContacts{TTY: tty, RST: modemLines[at.Reset.Modem], InvertRST: at.Reset.Active == gpio.High}, nil
	}
	c, err := at.pinContacts(), error(nil)
	if c.RST, err = h.Out(at.Reset.Pin); err != nil {
		return nil, fmt.Errorf("reset: %w", err)
	}
	if at.Power.Wired() {
		if c.VCC, err = h.Out(at.Power.Pin); err != nil {
			return nil, fmt.Errorf("power: %w", err)
		}
	}
	if at.Detect.Wired() {
		if c.Detect, err = h.In(at.Detect.Pin); err == nil {
			err = c.Detect.In(restPull(at.Detect.Active), gpio.NoEdge)
		}
		if err != nil {
			return nil, fmt.Errorf("detect: %w", err)
		}
	}
	return c, nil
}

// pinContacts is without its pins. A line is inverted where its active level is
// not that of the card's contact: RST is active low, VCC and a card that is
// there are high.
func (at *CardPorts) pinContacts() *iso7816.PinContacts {
	return &iso7816.PinContacts{
		InvertRST:    at.Reset.Active == gpio.High,
		InvertVCC:    at.Power.Active == gpio.Low,
		InvertDetect: at.Detect.Active == gpio.Low,
	}
}

var modemLines = map[Modem]iso7816.ModemLine{RTS: iso7816.RTS, DTR: iso7816.DTR}

// restPull keeps the line of an open switch off its active level.
func restPull(active gpio.Level) gpio.Pull {
	if active == gpio.High {
		return gpio.PullDown
	}
	return gpio.PullUp
}

// clocked is a UART that gives the clock back too.
type clocked struct {
	iso7816.UART
	clock io.Closer
}

// Close implements [iso7816.UART].
func (c *clocked) Close() error { return errors.Join(c.clock.Close(), c.UART.Close()) }
