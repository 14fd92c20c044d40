package iso7816

import (
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"periph.io/x/conn/v3/physic"
)

// SoC is a chip of the Raspberry Pi family with its clock sources.
type SoC struct {
	Name       string
	Base       int64 // physical address of the peripherals
	Oscillator physic.Frequency
	PLLD       physic.Frequency
}

// The chips whose clock manager is documented. That of the Raspberry Pi 5 is
// not: use an oscillator there.
var (
	BCM2835 = SoC{"BCM2835", 0x20000000, 19200 * physic.KiloHertz, 500 * physic.MegaHertz} // Zero, 1
	BCM2837 = SoC{"BCM2837", 0x3F000000, 19200 * physic.KiloHertz, 500 * physic.MegaHertz} // Zero 2 W, 2, 3
	BCM2711 = SoC{"BCM2711", 0xFE000000, 54 * physic.MegaHertz, 750 * physic.MegaHertz}    // 4, CM4, 400
)

// Memory is the device of Linux that the registers are in.
const Memory = "/dev/mem"

// Registers are the 32-bit peripheral registers by their offset from SoC.Base.
type Registers interface {
	Read(offset int64) uint32
	Write(offset int64, value uint32)
	Close() error
}

// Shared are registers for several users, one after the other or together. They
// stay when a user closes them.
func Shared(r Registers) Registers { return shared{r} }

type shared struct{ Registers }

// Close implements [Registers].
func (shared) Close() error { return nil }

// Registers of the clock manager (BCM2835 ARM Peripherals, 6.3) and of the pins
// (6.1).
const (
	cmBase   = 0x101000
	gpioBase = 0x200000

	cmGP0CTL   = cmBase + 0x70 // that of GPCLKn is 8n further, DIV 4 behind it
	cmPassword = 0x5A << 24
	cmSource   = 0xF
	cmEnable   = 1 << 4
	cmKill     = 1 << 5
	cmBusy     = 1 << 7
	cmOsc      = 1
	cmPLLD     = 6
	divShift   = 12 // DIVI; without fraction there is no jitter
	maxDivisor = 4095

	gpfsel0 = gpioBase
	gpclr0  = gpioBase + 0x28

	fselOutput = 1
	fselALT0   = 4
	fselALT5   = 2
)

// clockPins tell which GPCLK a pin can put out and by which function.
var clockPins = map[int]struct {
	clock int64
	fsel  uint32
}{
	4: {0, fselALT0}, 5: {1, fselALT0}, 6: {2, fselALT0}, 20: {0, fselALT5}, 21: {1, fselALT5},
}

// GPCLK is a general purpose clock of a Raspberry Pi as CLK.
type GPCLK struct {
	soc     SoC
	regs    Registers
	pin     int
	source  uint32
	divisor uint32
	freq    physic.Frequency
}

var _ Clock = (*GPCLK)(nil)

// NewGPCLK makes CLK at a pin: GPIO4 or 20 (GPCLK0), 5 or 21 (GPCLK1, which
// some boards use themselves), 6 (GPCLK2). The frequency is the nearest one that
// divides without jitter and may be 2 % off; [GPCLK.Frequency] tells it. Nothing
// is written before Start or Stop. The registers are the clock's until Close.
func NewGPCLK(soc SoC, regs Registers, pin int, want physic.Frequency) (*GPCLK, error) {
	if _, ok := clockPins[pin]; !ok {
		return nil, fmt.Errorf("%w: GPIO%d puts out no clock: use GPIO4, 5, 6, 20 or 21", ErrUnsupported, pin)
	}
	c := &GPCLK{soc: soc, regs: regs, pin: pin}
	best := math.Inf(1)
	for _, source := range []struct {
		code uint32
		freq physic.Frequency
	}{{cmOsc, soc.Oscillator}, {cmPLLD, soc.PLLD}} {
		if want <= 0 || source.freq < want {
			continue
		}
		n := min(int64(source.freq+want/2)/int64(want), maxDivisor)
		got := source.freq / physic.Frequency(n)
		if off := math.Abs(float64(got)/float64(want) - 1); off < best {
			best, c.source, c.divisor, c.freq = off, source.code, uint32(n), got
		}
	}
	if best > 0.02 {
		return nil, fmt.Errorf("%w: %s cannot make %v without jitter, the nearest is %v", ErrUnsupported, soc.Name, want, c.freq)
	}
	return c, nil
}

func (c *GPCLK) ctl() int64 { return cmGP0CTL + 8*clockPins[c.pin].clock }

// Frequency implements [Clock].
func (c *GPCLK) Frequency() physic.Frequency { return c.freq }

// String is "GPIO4 of BCM2711, 4.500MHz".
func (c *GPCLK) String() string { return fmt.Sprintf("GPIO%d of %s, %v", c.pin, c.soc.Name, c.freq) }

// Start implements [Clock]. The divisor and the source may only be changed
// while the clock is not busy.
func (c *GPCLK) Start() error {
	if err := c.halt(); err != nil {
		return err
	}
	c.regs.Write(c.ctl()+4, cmPassword|c.divisor<<divShift)
	c.regs.Write(c.ctl(), cmPassword|c.source)
	time.Sleep(settle)
	c.regs.Write(c.ctl(), cmPassword|c.source|cmEnable)
	if err := c.await(cmBusy); err != nil {
		return fmt.Errorf("%s does not start: %w", c, err)
	}
	c.function(clockPins[c.pin].fsel)
	return nil
}

// Stop implements [Clock].
func (c *GPCLK) Stop() error {
	c.regs.Write(gpclr0, 1<<c.pin)
	c.function(fselOutput)
	return c.halt()
}

// Close stops the clock and gives the registers back.
func (c *GPCLK) Close() error { return errors.Join(c.Stop(), c.regs.Close()) }

// halt stops the generator: by itself at the end of a cycle, or else at once.
func (c *GPCLK) halt() error {
	ctl := c.regs.Read(c.ctl())
	if ctl&(cmBusy|cmEnable) == 0 {
		return nil
	}
	for _, how := range []uint32{0, cmKill} {
		c.regs.Write(c.ctl(), cmPassword|ctl&cmSource|how)
		if c.await(0) == nil {
			return nil
		}
	}
	return fmt.Errorf("%s does not stop: is something else using it?", c)
}

// settle is longer than any clock cycle here.
const settle = 10 * time.Microsecond

// await waits until BUSY has a state.
func (c *GPCLK) await(busy uint32) error {
	for range 100 {
		if c.regs.Read(c.ctl())&cmBusy == busy {
			return nil
		}
		time.Sleep(settle)
	}
	return fmt.Errorf("clock manager: CTL is %08X", c.regs.Read(c.ctl()))
}

// functions is held while a register is changed that several pins have a part of.
var functions sync.Mutex

// function connects the pin: three bits each, ten pins a register.
func (c *GPCLK) function(fsel uint32) {
	functions.Lock()
	defer functions.Unlock()
	at, shift := gpfsel0+4*int64(c.pin/10), 3*(c.pin%10)
	c.regs.Write(at, c.regs.Read(at)&^(7<<shift)|fsel<<shift)
}
