package boards

import (
	"fmt"
	"time"

	"periph.io/x/conn/v3/physic"
)

// The drivers that a wiring can be for.
const (
	I2C     = "i2c"
	SPI     = "spi"
	ISO7816 = "iso7816"
)

// Wiring is one secure element and where it hangs. [Element.Wiring] makes one
// that holds together in itself; whether a board can have it says
// [Board.Check].
type Wiring struct {
	Name    string // whose it is, for messages: the SEID
	Driver  string // I2C, SPI or ISO7816
	Carrier string // the ready-made entry that it was made from, if any
	Dialect string // of T=1 on I2C and SPI: "um11225"

	Bus    string // "i2c1", "spi0", "uart0"; or
	Device string // "/dev/ttyUSB0", "/dev/i2c-1", "/dev/spidev0.0"

	Address    uint16           // I2C, 7 bits
	ChipSelect int              // SPI
	Decoder    []Pin            // SPI: address pins of a decoder behind the chip select, the lowest bit first; nil for none
	Output     int              // SPI: which of the decoder's
	Enable     Line             // SPI: of the decoder; not wired where the chip select enables it
	Pins       []Pin            // I2C: SDA and SCL where the bus can be led to several places; nil for the usual ones
	Clock      physic.Frequency // I2C, SPI: the fastest allowed; ISO7816: the card's; 0 for the usual one

	ClockPin  Pin // ISO7816: where a GPCLK comes out; NoPin for an oscillator beside the board
	Reset     Line
	Power     Line
	Interrupt Line
	Detect    Line
	AnyTCK    bool // ISO7816: an answer to reset with a wrong TCK, or none, is good

	ResetPulse time.Duration // how long the reset is held; 0 for the driver's
	BootTime   time.Duration // from the reset to the first access; 0 for the driver's
}

// lines are the signals beside the bus, with what they are for.
func (w *Wiring) lines() []use {
	var uses []use
	add := func(p Pin, what string) {
		if p != NoPin {
			uses = append(uses, use{p, what, w.Name})
		}
	}
	for _, p := range w.Decoder {
		uses = append(uses, use{p, w.decoder(), w.Name})
	}
	if w.Enable.Pin != NoPin {
		uses = append(uses, use{w.Enable.Pin, w.decoder(), w.Name})
	}
	add(w.ClockPin, "clock")
	add(w.Reset.Pin, "reset")
	add(w.Power.Pin, "power")
	add(w.Interrupt.Pin, "interrupt")
	add(w.Detect.Pin, "detect")
	return uses
}

// decoder names the decoder; chips with the same one share its pins.
func (w *Wiring) decoder() string {
	if w.Decoder == nil {
		return ""
	}
	return fmt.Sprintf("the decoder %s of %s%s.%d", pinList(w.Decoder), w.Bus, w.Device, w.ChipSelect)
}

// use is a pin and what it is for.
type use struct {
	pin  Pin
	what string
	name string // whose
}

// String is where the element hangs: "i2c(i2c1, 0x48)", "spi(spi0.1)",
// "iso7816(/dev/ttyUSB0)".
func (w Wiring) String() string {
	place := w.Bus + w.Device // one of them is empty
	switch {
	case w.Driver == I2C:
		place = fmt.Sprintf("%s, 0x%02X", place, w.Address)
	case w.Driver == SPI && w.Bus != "":
		place = fmt.Sprintf("%s.%d", place, w.ChipSelect)
	}
	return w.Driver + "(" + place + ")"
}
