package i2c

import (
	"fmt"
	"time"

	"periph.io/x/conn/v3/gpio"

	"github.com/cloud-of-se/tses/drivers/internal/chipbus"
	"github.com/cloud-of-se/tses/drivers/internal/t1"
)

// Dialects that chips on I²C speak.
const (
	GlobalPlatform    = "gp"      // GPC_SPE_172 v1.0: Infineon OPTIGA Authenticate NBT
	NXPGlobalPlatform = "nxp-gp"  // the same with NXP's node addresses: SE052F
	UM11225           = "um11225" // NXP SE050, SE051, A5000
	IoSE              = "iose"    // the I2C grid boards
)

var dialects = map[string]t1.Dialect{
	GlobalPlatform:    t1.GlobalPlatform,
	NXPGlobalPlatform: t1.NXPGlobalPlatform,
	UM11225:           t1.UM11225,
	IoSE:              t1.IoSE,
}

// Opts describe a chip and its wires. A zero duration or number means what the
// dialect or the chip says.
type Opts struct {
	Dialect string

	// Reset is the pin that holds the chip in reset or its power away, nil if
	// there is none. ResetActive is the level at which it does: low for RST
	// and for the ENA of SE050 and SE051, high for the ENA of SE052F.
	Reset       gpio.PinOut
	ResetActive gpio.Level
	ResetPulse  time.Duration // the least time at that level
	Boot        time.Duration // from its end until the chip listens

	// Interrupt is the pin by which the chip says that it has an answer, nil
	// if it is not connected. InterruptActive is the level at which it has.
	Interrupt       gpio.PinIn
	InterruptActive gpio.Level

	Guard time.Duration // between two accesses (RWGT), until the chip says another
	Poll  time.Duration // between two looks for an answer (MPOT), likewise
	BWT   time.Duration // block waiting time, instead of the chip's

	IFSD   int // the most INF bytes in a block from the chip
	MaxWTX int // how often the chip may ask for more time within one command; 1000
}

// DefaultOpts is an SE050 without a reset pin.
var DefaultOpts = Opts{
	Dialect:     UM11225,
	ResetActive: gpio.Low,
	ResetPulse:  2 * time.Millisecond,
}

// options checks the options and translates them.
func (o *Opts) options(name string) (chipbus.Options, error) {
	d, ok := dialects[o.Dialect]
	if !ok {
		return chipbus.Options{}, fmt.Errorf("%s: unknown dialect %q: it is one of %s, %s, %s, %s", name, o.Dialect, GlobalPlatform, NXPGlobalPlatform, UM11225, IoSE)
	}
	t := chipbus.DefaultTiming(o.Dialect, chipbus.I2C)
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
		Name: name, Kind: chipbus.I2C, Dialect: d, Timing: t,
		BWT: o.BWT, IFSD: o.IFSD, MaxWTX: o.MaxWTX,
	}
	if o.Reset != nil {
		c.Reset = &chipbus.ResetLine{Pin: o.Reset, Active: o.ResetActive, Pulse: o.ResetPulse}
	}
	if o.Interrupt != nil {
		c.Ready = &chipbus.ReadyLine{Pin: o.Interrupt, Active: o.InterruptActive}
	}
	return c, nil
}
