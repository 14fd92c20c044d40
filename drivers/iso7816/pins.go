package iso7816

import (
	"errors"
	"fmt"

	"periph.io/x/conn/v3/gpio"
)

// PinContacts are RST and VCC on pins of the board. A high pin means RST high,
// VCC on and a card in the slot, unless it is inverted.
type PinContacts struct {
	RST       gpio.PinOut
	InvertRST bool

	VCC       gpio.PinOut // the load switch; nil where the power is always on
	InvertVCC bool

	// Detect is the switch in the slot, nil where there is none. It is read
	// as the board has set it up.
	Detect       gpio.PinIn
	InvertDetect bool
}

var _ Contacts = (*PinContacts)(nil)

// SetRST implements [Contacts].
func (c *PinContacts) SetRST(high bool) error {
	if c.RST == nil {
		return errors.New("no pin is named for RST")
	}
	return set("RST", c.RST, high != c.InvertRST)
}

// SetVCC implements [Contacts].
func (c *PinContacts) SetVCC(on bool) error {
	if c.VCC == nil {
		return nil
	}
	return set("VCC", c.VCC, on != c.InvertVCC)
}

func set(what string, pin gpio.PinOut, high bool) error {
	if err := pin.Out(gpio.Level(high)); err != nil {
		return fmt.Errorf("%s by %s: %w", what, pin, err)
	}
	return nil
}

// Present implements [Contacts].
func (c *PinContacts) Present() (bool, error) {
	return c.Detect == nil || bool(c.Detect.Read()) != c.InvertDetect, nil
}

// String names the pins.
func (c *PinContacts) String() string { return fmt.Sprintf("RST by %v, VCC by %v", c.RST, c.VCC) }
