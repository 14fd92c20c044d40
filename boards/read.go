package boards

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/physic"
)

// Wiring reads the table over that of its carrier and checks that it holds
// together. name is whose it is. The error names what is wrong and what would
// be right.
func (e Element) Wiring(name string) (Wiring, error) {
	w, err := e.wiring(name)
	if err != nil {
		return Wiring{}, fmt.Errorf("element %.64q: %w", name, err)
	}
	return w, nil
}

func (e Element) wiring(name string) (Wiring, error) {
	if err := e.strict(); err != nil {
		return Wiring{}, err
	}
	if e.Carrier != "" {
		c, err := carrier(e.Carrier)
		if err != nil {
			return Wiring{}, err
		}
		if c.Element.Driver != e.Driver {
			return Wiring{}, fmt.Errorf("carrier %q is for driver %q, not %q", c.Name, c.Element.Driver, e.Driver)
		}
		e = e.over(c.Element)
	}
	r := reader{w: Wiring{Name: name, Driver: e.Driver, Carrier: e.Carrier, Dialect: e.Dialect}}
	r.place(e)
	r.chip(e)
	r.lines(e)
	r.times(e)
	return r.w, errors.Join(r.errs...)
}

// reader makes a wiring of a table and keeps what is wrong.
type reader struct {
	w    Wiring
	errs []error
}

func (r *reader) wrong(format string, args ...any) {
	r.errs = append(r.errs, fmt.Errorf(format, args...))
}

// busPrefix is how the names of a driver's buses and device files begin.
var busPrefix = map[string]struct{ bus, device string }{
	I2C:     {"i2c", "/dev/i2c-"},
	SPI:     {"spi", "/dev/spidev"},
	ISO7816: {"uart", "/dev/tty"},
}

func (r *reader) place(e Element) {
	prefix := busPrefix[e.Driver]
	switch {
	case e.Bus != "" && e.Device != "":
		r.wrong("bus = %.32q and device = %.64q: give one of them", e.Bus, e.Device)
	case e.Bus == "" && e.Device == "":
		r.wrong("no bus: give one, such as bus = %q, or a carrier", prefix.bus+"1")
	case e.Bus != "" && !strings.HasPrefix(e.Bus, prefix.bus):
		r.wrong("bus = %.32q: driver %q hangs on a bus such as %q", e.Bus, e.Driver, prefix.bus+"1")
	case e.Device != "" && (!strings.HasPrefix(e.Device, "/dev/") || path.Clean(e.Device) != e.Device):
		r.wrong("device = %.64q: want a device file such as %q", e.Device, prefix.device+"1")
	}
	r.w.Bus, r.w.Device = e.Bus, e.Device
	if len(e.Pins) != 0 && len(e.Pins) != 2 {
		r.wrong("pins: %d of them, want SDA and SCL", len(e.Pins))
		return
	}
	for _, s := range e.Pins {
		p, err := ParsePin(s)
		if err != nil {
			r.wrong("pins: %w", err)
			return
		}
		r.w.Pins = append(r.w.Pins, p)
	}
	if r.w.Pins != nil && e.Device != "" {
		r.wrong("pins: the pins of device = %.64q cannot be chosen; give a bus", e.Device)
	}
}

// dialects are those of T=1 that each driver speaks.
var dialects = map[string][]string{
	I2C: {"gp", "nxp-gp", "um11225", "iose"},
	SPI: {"gp", "nxp-gp", "nxp-ese", "st54", "thales"},
}

func (r *reader) chip(e Element) {
	if known := dialects[e.Driver]; known != nil && !slices.Contains(known, e.Dialect) {
		if e.Dialect == "" {
			r.wrong("no dialect: give one of %s, or a carrier", strings.Join(known, ", "))
		} else {
			r.wrong("dialect = %.32q is not known on %s; there is %s", e.Dialect, e.Driver, strings.Join(known, ", "))
		}
	}
	// 00 to 07 and 78 to 7F are the I2C specification's own.
	if e.Driver == I2C && e.Address == 0 {
		r.wrong("no address: give that of the chip, such as address = 0x48")
	} else if e.Driver == I2C && (e.Address < 0x08 || e.Address > 0x77) {
		r.wrong("address = 0x%02X: an address on I2C is 0x08 to 0x77, without the bit for read and write", e.Address)
	}
	r.w.Address = uint16(e.Address)
	if e.ChipSelect != nil {
		r.w.ChipSelect = *e.ChipSelect
		if r.w.ChipSelect < 0 || r.w.ChipSelect > 7 {
			r.wrong("chip_select = %d: want 0 to 7", r.w.ChipSelect)
		}
		if e.Device != "" {
			r.wrong("chip_select: device = %.64q has it in its name", e.Device)
		}
	}
	if e.Clock != "" {
		r.w.Clock = r.frequency(e.Clock)
	}
	r.decoder(e)
}

// mostAddress bounds a decoder to 256 outputs, as the driver does.
const mostAddress = 8

// decoder reads the decoder behind a chip select.
func (r *reader) decoder(e Element) {
	if len(e.Decoder) == 0 {
		if e.Output != nil || e.Enable != "" {
			r.wrong("output and enable are a decoder's: give its address pins, such as decoder = [\"GPIO5\", \"GPIO6\"]")
		}
		return
	}
	if len(e.Decoder) > mostAddress {
		r.wrong("decoder: %d address pins, at most %d", len(e.Decoder), mostAddress)
		return
	}
	for _, s := range e.Decoder {
		p, err := ParsePin(s)
		if err != nil {
			r.wrong("decoder: %w", err)
			return
		}
		r.w.Decoder = append(r.w.Decoder, p)
	}
	r.w.Enable = r.line("enable", e.Enable, gpio.Low)
	switch last := 1<<len(e.Decoder) - 1; {
	case e.Output == nil:
		r.wrong("no output: give that of the decoder, 0 to %d", last)
	case *e.Output < 0 || *e.Output > last:
		r.wrong("output = %d: the decoder has 0 to %d", *e.Output, last)
	default:
		r.w.Output = *e.Output
	}
}

// frequency reads "400 kHz", within what any of the drivers can use.
func (r *reader) frequency(s string) physic.Frequency {
	var f physic.Frequency
	if err := f.Set(strings.ReplaceAll(s, " ", "")); err != nil || len(s) > 32 {
		r.wrong("clock = %.32q: want a frequency such as \"400 kHz\" or \"3.84 MHz\"", s)
		return 0
	}
	if f < physic.KiloHertz || f > 125*physic.MegaHertz {
		r.wrong("clock = %.32q: want 1 kHz to 125 MHz, such as \"400 kHz\"", s)
		return 0
	}
	return f
}

func (r *reader) lines(e Element) {
	r.w.Reset = r.line("reset", e.Reset, gpio.Low)
	r.w.Power = r.line("power", e.Power, gpio.High)
	r.w.Interrupt = r.line("interrupt", e.Interrupt, gpio.High)
	r.w.Detect = r.line("detect", e.Detect, gpio.Low)
	r.w.AnyTCK = e.AnyTCK
	if e.Driver != ISO7816 {
		if e.Driver == SPI && e.Dialect == "st54" && !r.w.Reset.Wired() {
			r.wrong("no reset: a chip that speaks st54 starts by a pulse on its reset line; give reset = \"GPIO24\"")
		}
		return
	}
	switch {
	case e.ClockPin == "external":
		if r.w.Clock == 0 {
			r.wrong("clock_pin = \"external\": give the oscillator's clock, such as clock = \"3.579545 MHz\"")
		}
	case e.ClockPin == "":
		r.wrong("no clock_pin: give the pin of a GPCLK, such as \"GPIO4\", or \"external\" for an oscillator")
	default:
		var err error
		if r.w.ClockPin, err = ParsePin(e.ClockPin); err != nil {
			r.wrong("clock_pin: %w, or \"external\"", err)
		}
	}
	if r.w.Reset.Modem != "" && (r.w.Power.Wired() || r.w.Detect.Wired()) {
		r.wrong("power and detect go with a reset on a pin, not on %s", r.w.Reset.Modem)
	}
	if !r.w.Reset.Wired() {
		r.wrong("no reset: a card starts with its reset line; give reset = \"GPIO17\", or \"RTS\" on a serial adapter")
	}
}

// line reads one of the signals; "" and "none" are not wired.
func (r *reader) line(key, s string, usual gpio.Level) Line {
	if s == "" || s == "none" {
		return Line{}
	}
	l, err := parseLine(s, usual)
	if err != nil {
		r.wrong("%s: %w", key, err)
	}
	switch {
	case l.Modem != "" && r.w.Driver != ISO7816:
		r.wrong("%s = %.32q: only a serial adapter has this line", key, s)
	case l.Modem != "" && key != "reset":
		r.wrong("%s = %.32q: give a pin; an adapter powers its card itself", key, s)
	}
	return l
}

// longest bounds the times of a reset: more is a slip of the pen.
const longest = 10 * time.Second

func (r *reader) times(e Element) {
	read := func(key, s string) time.Duration {
		if s == "" {
			return 0
		}
		d, err := time.ParseDuration(s)
		if err != nil || d <= 0 || d > longest {
			r.wrong("%s = %.32q: want a time up to %s, such as \"2ms\"", key, s, longest)
			return 0
		}
		return d
	}
	r.w.ResetPulse, r.w.BootTime = read("reset_pulse", e.ResetPulse), read("boot_time", e.BootTime)
}
