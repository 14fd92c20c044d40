package chipsim

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/cloud-of-se/tses/drivers"
)

// Options describe a [Chip]. Zero fields have the family's usual values.
type Options struct {
	Family *Family
	Wire   Wire       // for what the chip says about itself; I2C if zero
	Brain  drivers.SE // answers the commands

	// Think, where it is set, is how long the chip needs for a command besides
	// what the brain takes.
	Think func(command []byte) time.Duration

	Clock      int64         // highest, in Hz
	Guard      time.Duration // between two accesses
	NoGuard    bool          // Guard is zero
	Turn       time.Duration // between a write and the first read
	Poll       time.Duration // between two looks for an answer
	MaxAccess  int           // bytes in one access
	Boot       time.Duration // after a reset
	Sleep      time.Duration // falls asleep after this time without access
	Wake       time.Duration // from the access that wakes it
	BWT        time.Duration
	IFSC       int // the longest INF field that it takes
	MaxIFSD    int // the longest INF field that it sends
	Historical []byte
	ShortIFS   bool          // it takes S(IFS) of one byte alone
	LRC        bool          // an ST54 that says so
	CRC        bool          // an NXP eSE that says so
	BGT        time.Duration // of an NXP eSE: between blocks in opposite directions
	TS         bool          // a Thales eSE whose answer to reset begins with it
	Parameters []byte        // what it says about itself, where it is not nil, instead of what follows from the above

	IdleByte byte // 00 or FF: what it sends when it has nothing to say
	NoNack   bool // on I2C it sends that byte too, instead of not acknowledging

	// Stale is what the chip's shift register holds on SPI when the host looks
	// for a block, one byte after the other: it comes first.
	Stale []byte

	// Interface says that a reset by a block is that of the interface alone:
	// the brain keeps what it has selected and verified.
	Interface bool

	Faults *Faults // nil for none
}

// Chip is a simulated secure element. Its methods may be called from any
// goroutine.
type Chip struct {
	opts Options

	mu     sync.Mutex
	closed bool
	held   bool      // by the reset line
	bootAt time.Time // when it will listen
	slept  bool      // it slept when the access began
	wakes  bool      // until bootAt
	deep   bool      // asleep until an access or the reset line
	told   bool      // the host knows its parameters
	check  check     // of blocks, as of now
	audit  audit

	history []event

	rx       []byte    // what came and is no whole block yet
	rxAt     time.Time // when its last byte came
	out      []byte    // what is to be sent
	outAt    time.Time // since when
	pos      int       // how much of it was sent
	thenBoot bool      // when it was sent
	thenDeep bool      // likewise: deep power down
	looks    int       // how many reads have found a stale byte

	thenFaint bool // likewise, or when the host writes

	protocol protocol
	brain    brain

	selfResets int
	mute       bool
}

// New makes a chip with its power on, unless a reset line holds it. [Chip.Close]
// ends it.
func New(o Options) *Chip {
	o.fill()
	c := &Chip{opts: o}
	c.brain.ctx, c.brain.cancel = context.WithCancel(context.Background())
	c.brain.idle = make(chan struct{})
	close(c.brain.idle)
	c.restart(0)
	return c
}

// fill sets what is not given.
func (o *Options) fill() {
	d := o.Family.defaults
	orElse(&o.Wire, I2C)
	if o.Wire == I2C {
		orElse(&o.Clock, o.Family.i2cClock)
	}
	orElse(&o.Clock, d.Clock)
	orElse(&o.Guard, d.Guard)
	if o.NoGuard {
		o.Guard = 0
	}
	orElse(&o.Turn, d.Turn)
	orElse(&o.Poll, d.Poll)
	orElse(&o.MaxAccess, d.MaxAccess)
	orElse(&o.Boot, d.Boot)
	orElse(&o.BWT, d.BWT)
	orElse(&o.IFSC, d.IFSC)
	orElse(&o.MaxIFSD, d.MaxIFSD)
	if o.Historical == nil {
		o.Historical = d.Historical
	}
}

func orElse[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Close stops the chip; a command that runs is cancelled and waited for.
func (c *Chip) Close() {
	c.mu.Lock()
	c.closed = true
	c.brain.cancel()
	idle := c.brain.idle
	c.mu.Unlock()
	<-idle
}

// restart forgets everything; the chip listens after boot.
func (c *Chip) restart(boot time.Duration) {
	c.note("restarts", nil)
	c.brain.abandon()
	c.bootAt = time.Now().Add(boot)
	c.rx, c.out, c.pos, c.thenBoot, c.thenDeep, c.thenFaint = nil, nil, 0, false, false, false
	c.protocol = protocol{ifsc: c.opts.IFSC, ifsd: min(c.opts.MaxIFSD, 254)}
	c.brain.stale = true
	c.check = c.opts.Family.check
	f := c.opts.Family
	if f.ifs == ifsBoth {
		c.protocol.ifsc = min(c.opts.IFSC, 254)
	}
	if f.helloFirst {
		c.out, c.outAt = c.hello(), c.bootAt
		if c.opts.LRC {
			c.check = xorAll
		}
	}
}

// hello is what the chip says about itself.
func (c *Chip) hello() []byte {
	if c.opts.Parameters != nil {
		return c.opts.Parameters
	}
	return c.opts.Family.hello(&c.opts)
}

// faint is a reset that nobody asked for.
func (c *Chip) faint() {
	c.selfResets++
	c.note("faints", nil)
	c.restart(c.opts.Boot)
	c.protocol.ifsTold = true // the host does not know that it is due
}

// SelfResets counts the times that the chip fainted by a fault.
func (c *Chip) SelfResets() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.selfResets
}

// hold is the reset line.
func (c *Chip) hold(active bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held && !active {
		c.mute, c.told, c.deep = false, false, false
		c.restart(c.opts.Boot)
	}
	if active {
		c.brain.abandon()
	}
	c.held = active
}

// listens tells whether the chip is there for the host now.
func (c *Chip) listens() bool {
	return !c.closed && !c.held && !c.mute && !c.slept && !c.deep && !time.Now().Before(c.bootAt)
}

// fallenAsleep tells whether the chip had nothing to do for so long that it
// sleeps.
func (c *Chip) fallenAsleep() bool {
	return c.told && c.opts.Sleep > 0 && !c.brain.busy && c.pos == len(c.out) && time.Since(c.audit.end) > c.opts.Sleep
}

// say makes b what the chip sends next.
func (c *Chip) say(b block) { c.sayAfter(b, 0) }

func (c *Chip) sayAfter(b block, delay time.Duration) {
	sound := c.encode(b)
	raw := c.opts.Faults.outgoing(c, sound)
	c.note("says  ", sound)
	if !bytes.Equal(raw, sound) {
		c.note("  damaged", raw)
	}
	c.out, c.pos, c.outAt = raw, 0, time.Now().Add(delay)
	if raw == nil {
		c.outAt = time.Time{}
	}
}

// acknowledges tells whether the chip acknowledges an access on I²C that begins
// now: a busy one takes no block, one with nothing to say is not read.
func (c *Chip) acknowledges(write bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case !c.listens() || c.opts.Faults.nack(c):
		return false
	case write:
		return !c.deaf()
	}
	return c.opts.NoNack || c.pos < len(c.out) && !c.outAt.After(time.Now())
}

// receiving tells whether the chip is in the middle of a block.
func (c *Chip) receiving() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.rx) > 0 && time.Since(c.rxAt) <= c.opts.BWT
}

// deaf tells whether the chip works and does not listen.
func (c *Chip) deaf() bool {
	return c.brain.busy && len(c.out) == 0 && !c.protocol.extending
}

// write is one access of the host, at its end.
func (c *Chip) write(b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.listens() || c.deaf() {
		c.note("does not hear", b)
		return
	}
	if c.thenFaint {
		c.faint()
		return
	}
	c.out, c.pos = nil, 0
	if len(c.rx) > 0 && time.Since(c.rxAt) > c.opts.BWT {
		c.rx = nil // the host gave up in the middle
	}
	c.rx, c.rxAt = append(c.rx, b...), time.Now()
	n := c.size(c.rx)
	if c.opts.Wire == I2C {
		n = len(c.rx) // a write is a block
	}
	if n == 0 || len(c.rx) < n {
		return
	}
	raw := c.rx
	c.rx = nil
	c.note("hears ", raw)
	heard := c.opts.Faults.incoming(c, raw)
	if !bytes.Equal(heard, raw) {
		c.note("  damaged", heard)
	}
	if heard != nil {
		c.handle(heard)
	}
}

// read is one access of the host at its end: b[i] was clocked out at
// start + i*perByte. It tells whether the chip had something to say.
func (c *Chip) read(b []byte, start time.Time, perByte time.Duration) (spoke bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range b {
		b[i] = c.opts.IdleByte
	}
	if !c.listens() {
		return false
	}
	i := c.leave(b)
	if c.pos == len(c.out) {
		return false
	}
	if late := c.outAt.Sub(start); late > 0 {
		if perByte == 0 {
			return false
		}
		i = max(i, int((late+perByte-1)/perByte))
	}
	if i >= len(b) {
		return false
	}
	c.pos += copy(b[i:], c.out[c.pos:])
	if c.pos == len(c.out) {
		c.sent()
	}
	return true
}

// leave puts what the shift register held at the beginning of a look, and tells
// how many bytes that are.
func (c *Chip) leave(b []byte) int {
	if len(c.opts.Stale) == 0 || c.pos > 0 || len(b) == 1 {
		return 0 // a host that takes one byte at a time does not see where an access begins
	}
	b[0] = c.opts.Stale[c.looks%len(c.opts.Stale)]
	c.looks++
	return 1
}

// sent follows the last byte of a block.
func (c *Chip) sent() {
	if c.protocol.telling {
		c.told, c.protocol.telling = true, false
		if c.opts.CRC {
			c.check = x25Low
		}
	}
	if c.opts.Family.helloFirst {
		c.told = true
	}
	if c.thenFaint {
		c.faint()
	}
	if c.thenBoot {
		c.told = false
		c.restart(c.opts.Boot)
	}
	if c.thenDeep {
		c.note("powers down", nil)
		c.deep, c.thenDeep = true, false
	}
}

// limits are what the host has to keep to now.
func (c *Chip) limits() limits {
	o := &c.opts
	switch {
	case c.told:
		l := limits{clock: o.Clock, guard: o.Guard, turn: max(o.Turn, o.BGT), back: o.BGT, poll: o.Poll}
		if o.Wire == SPI {
			l.access = o.MaxAccess
		}
		return l
	case o.Wire == I2C && o.Family.lenSize == 2:
		return beforeI2C
	}
	return o.Family.before
}

// String names the chip.
func (c *Chip) String() string { return fmt.Sprintf("chip(%s)", c.opts.Family.Name) }
