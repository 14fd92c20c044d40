package boards

import (
	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"
	"periph.io/x/conn/v3/spi"

	"github.com/cloud-of-se/tses/drivers/iso7816"
)

// Ports opens what wirings hang on. [Host] has this machine's; tests bring
// simulated ones.
type Ports interface {
	// I2C opens "/dev/i2c-1", SPI "/dev/spidev0.0".
	I2C(device string) (i2c.BusCloser, error)
	SPI(device string) (spi.PortCloser, error)

	// Out and In take a pin for one user.
	Out(Pin) (gpio.PinOut, error)
	In(Pin) (gpio.PinIn, error)

	// Card opens what a card needs. The parts are the caller's; closing the
	// UART gives back all of them.
	Card(CardPorts) (iso7816.UART, iso7816.Contacts, iso7816.Clock, error)
}

// CardPorts says where a card hangs.
type CardPorts struct {
	Device string // "/dev/ttyAMA0"
	Reset  Line
	Power  Line
	Detect Line

	// The card's clock: a GPCLK of the processor at ClockPin, or with NoPin
	// an oscillator.
	Clock    physic.Frequency
	ClockPin Pin
	SoC      iso7816.SoC
}
