package spi

import (
	"fmt"
	"time"

	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/physic"

	"github.com/cloud-of-se/tses/drivers/internal/chipbus"
	"github.com/cloud-of-se/tses/drivers/internal/t1"
)

// Dialects that chips on SPI speak.
const (
	GlobalPlatform    = "gp"      // GPC_SPE_172 v1.0
	NXPGlobalPlatform = "nxp-gp"  // the same with NXP's node addresses
	NXPeSE            = "nxp-ese" // NXP PN80T, SN100, SN110, SN220
	ST54              = "st54"    // ST54J, K, L; needs a reset pin
	Thales            = "thales"  // Thales (Gemalto) eSE; later ones speak gp
)

var dialects = map[string]t1.Dialect{
	GlobalPlatform:    t1.GlobalPlatform,
	NXPGlobalPlatform: t1.NXPGlobalPlatform,
	NXPeSE:            t1.NXPeSE,
	ST54:              t1.ST54,
	Thales:            t1.Thales,
}

// Opts describe a chip and its wires. A zero duration or number means what the
// dialect or the chip says.
type Opts struct {
	Dialect string

	// MaxClock is the highest clock that the wires can do; 0 for no limit but
	// the chip's. See [New] for ports that cannot change their clock.
	MaxClock physic.Frequency

	// Reset is the pin that holds the chip in reset or its power away, nil if
	// there is none. ResetActive is the level at which it does.
	Reset       gpio.PinOut
	ResetActive gpio.Level
	ResetPulse  time.Duration // the least time at that level
	Boot        time.Duration // from its end until the chip listens

	// Interrupt is the pin by which the chip says that it has an answer, nil
	// if it is not connected. InterruptActive is the level at which it has.
	Interrupt       gpio.PinIn
	InterruptActive gpio.Level

	Guard time.Duration // between two accesses (SEGT), until the chip says another
	Poll  time.Duration // between two looks for an answer (MPOT), likewise
	BWT   time.Duration // block waiting time, instead of the chip's

	IFSD   int // the most INF bytes in a block from the chip
	MaxWTX int // how often the chip may ask for more time within one command; 1000
}

// DefaultOpts is a GlobalPlatform chip without a reset pin on wires for 10 MHz.
var DefaultOpts = Opts{
	Dialect:     GlobalPlatform,
	MaxClock:    10 * physic.MegaHertz,
	ResetActive: gpio.Low,
	ResetPulse:  2 * time.Millisecond,
}

// options checks the options and translates them.
func (o *Opts) options(name string) (chipbus.Options, error) {
	d, ok := dialects[o.Dialect]
	if !ok {
		return chipbus.Options{}, fmt.Errorf("%s: unknown dialect %q: it is one of %s, %s, %s, %s, %s", name, o.Dialect, GlobalPlatform, NXPGlobalPlatform, NXPeSE, ST54, Thales)
	}
	if o.MaxClock < 0 {
		return chipbus.Options{}, fmt.Errorf("%s: a negative clock %s in the options", name, o.MaxClock)
	}
	t := chipbus.DefaultTiming(o.Dialect, chipbus.SPI)
	for _, field := range []struct {
		to   *time.Duration
		from time.Duration
	}{{&t.Guard, o.Guard}, {&t.Poll, o.Poll}, {&t.Boot, o.Boot}} {
		if field.from < 0 {
			return chipbus.Options{}, fmt.Errorf("%s: a negative duration %v in the options", name, field.from)
		}
		if field.from > 0 {
			*field.to = field.from
		}
	}
	c := chipbus.Options{
		Name: name, Kind: chipbus.SPI, Dialect: d, Timing: t,
		MaxClock: int64(o.MaxClock / physic.Hertz),
		BWT:      o.BWT, IFSD: o.IFSD, MaxWTX: o.MaxWTX,
	}
	if o.Reset != nil {
		c.Reset = &chipbus.ResetLine{Pin: o.Reset, Active: o.ResetActive, Pulse: o.ResetPulse}
	}
	if o.Interrupt != nil {
		c.Ready = &chipbus.ReadyLine{Pin: o.Interrupt, Active: o.InterruptActive}
	}
	return c, nil
}
