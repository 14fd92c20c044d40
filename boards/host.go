package boards

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"periph.io/x/conn/v3/driver/driverreg"
	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/spi"
	"periph.io/x/host/v3/gpioioctl"
	"periph.io/x/host/v3/sysfs"

	"github.com/cloud-of-se/tses/drivers"
	"github.com/cloud-of-se/tses/drivers/iso7816"
)

// Host is this machine's own buses and pins: those of its kernel, through
// periph.io. Of periph.io's drivers only these are used. The one that maps the
// registers of a Raspberry Pi into memory does not start on every model, and
// would count on clocks that the BCM2711 does not have.
func Host() Ports { return host{} }

// HostWithClock is [Host] for a process that may not open [iso7816.Memory] any
// more: the clocks of cards are set by these registers.
func HostWithClock(registers iso7816.Registers) Ports {
	return host{clock: iso7816.Shared(registers)}
}

type host struct {
	clock iso7816.Registers // nil: each card's clock maps its own
}

// SoC is the chip whose clocks a board can give to cards, the zero SoC where it
// can give none.
func (b *Board) SoC() iso7816.SoC {
	if b.model == nil {
		return iso7816.SoC{}
	}
	return b.model.chip.soc
}

// I2C implements [Ports].
func (host) I2C(device string) (i2c.BusCloser, error) {
	var n int
	if err := parseDevice(device, "/dev/i2c-%d", &n); err != nil {
		return nil, err
	}
	bus, err := sysfs.NewI2C(n)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", device, err)
	}
	return bus, nil
}

// SPI implements [Ports].
func (host) SPI(device string) (spi.PortCloser, error) {
	var n, cs int
	if err := parseDevice(device, "/dev/spidev%d.%d", &n, &cs); err != nil {
		return nil, err
	}
	port, err := sysfs.NewSPI(n, cs)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", device, err)
	}
	return port, nil
}

// parseDevice reads the numbers of a device file, of which there are one or two,
// and makes sure that it is there: periph.io hides why it cannot open one.
func parseDevice(device, format string, numbers ...*int) error {
	var scan, print []any
	for _, n := range numbers {
		scan = append(scan, n)
	}
	_, err := fmt.Sscanf(device, format, scan...)
	for _, n := range numbers {
		print = append(print, *n)
	}
	if err != nil || fmt.Sprintf(format, print...) != device {
		return fmt.Errorf("%s: want a name such as %s", device, strings.ReplaceAll(format, "%d", "0"))
	}
	return there(device)
}

// there tells that a device file is missing.
func there(device string) error {
	_, err := os.Stat(device)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: there is no %s; is the adapter plugged in?", drivers.ErrNoCard, device)
	}
	return err
}

// Out implements [Ports].
func (host) Out(p Pin) (gpio.PinOut, error) { return line(p) }

// In implements [Ports].
func (host) In(p Pin) (gpio.PinIn, error) { return line(p) }

// line finds a pin by its number at the GPIO controller of the processor: the
// names of lines differ from model to model and from kernel to kernel.
func line(p Pin) (*gpioioctl.GPIOLine, error) {
	state, err := driverreg.Init()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p, err)
	}
	for _, chip := range gpioioctl.Chips {
		for _, known := range []string{bcm2837.gpio, bcm2711.gpio, bcm2712.gpio} {
			if strings.HasPrefix(chip.Label(), known) && p.Number() < chip.LineCount() {
				return chip.ByNumber(p.Number()), nil
			}
		}
	}
	return nil, fmt.Errorf("%s: no GPIO controller of a Raspberry Pi is there; failed: %v", p, state.Failed)
}
