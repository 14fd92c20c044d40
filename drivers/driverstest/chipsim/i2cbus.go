package chipsim

import (
	"errors"
	"fmt"
	"time"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"
)

var _ i2c.BusCloser = (*I2CBus)(nil)

// ErrNack is what a bus returns where nobody acknowledges. Like periph.io's it
// tells its cause by its text alone.
var ErrNack = errors.New("sysfs-i2c: remote I/O error")

// I2CBus is a bus with chips by address. It implements [i2c.BusCloser].
type I2CBus struct {
	// turn is for one access at a time; a mutex would stop the time of a bubble.
	turn  chan struct{}
	clock int64
	chips map[uint16]*Chip
}

// NewI2C makes a bus with a clock in Hz.
func NewI2C(clock int64) *I2CBus {
	return &I2CBus{turn: make(chan struct{}, 1), clock: clock, chips: map[uint16]*Chip{}}
}

// Attach puts a chip on the bus; nil takes it away.
func (b *I2CBus) Attach(addr uint16, c *Chip) {
	b.turn <- struct{}{}
	defer func() { <-b.turn }()
	b.chips[addr] = c
}

// SetClock changes the clock.
func (b *I2CBus) SetClock(clock int64) {
	b.turn <- struct{}{}
	defer func() { <-b.turn }()
	b.clock = clock
}

// String implements [i2c.Bus].
func (b *I2CBus) String() string { return "I2C-sim" }

// SetSpeed fails, as on a Raspberry Pi.
func (b *I2CBus) SetSpeed(physic.Frequency) error {
	return errors.New("sysfs-i2c: not supported")
}

// Close implements [i2c.BusCloser].
func (b *I2CBus) Close() error { return nil }

// startStop is the time of a start and a stop condition in bits.
const startStop = 2

// Tx implements [i2c.Bus]: an access with address, acknowledge bits, start and
// stop.
func (b *I2CBus) Tx(addr uint16, w, r []byte) error {
	b.turn <- struct{}{}
	defer func() { <-b.turn }()
	if len(w) > 0 && len(r) > 0 || len(w)+len(r) == 0 {
		return fmt.Errorf("chipsim: an access with %d bytes to write and %d to read: a chip needs a stop condition between", len(w), len(r))
	}
	c, n := b.chips[addr], len(w)+len(r)
	if c == nil {
		b.spend(0)
		return ErrNack
	}
	write := len(w) > 0
	c.begin(write, n, b.clock)
	if !c.acknowledges(write) {
		c.finish(write, false, 0, b.spend(0))
		return ErrNack
	}
	start := time.Now()
	wire := b.spend(n)
	spoke := false
	if write {
		c.write(w)
	} else {
		spoke = c.read(r, start, 0)
	}
	c.finish(write, spoke, n, wire)
	return nil
}

// spend lets the time of an access pass.
func (b *I2CBus) spend(n int) time.Duration {
	d := I2CTime(n, b.clock)
	time.Sleep(d)
	return d
}

// I2CTime is how long an access of n bytes takes at a clock in Hz: 9 bits for
// the address and for each byte, and a start and a stop condition.
func I2CTime(n int, clock int64) time.Duration {
	return time.Duration(int64((n+1)*9+startStop) * int64(time.Second) / clock)
}
