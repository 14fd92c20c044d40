package chipsim

import (
	"bytes"
	"math/rand/v2"
	"time"
)

// Chances say how often something goes wrong, each from 0 to 1: for a block to
// or from the chip, for a command, or for an access.
type Chances struct {
	FlipIn, LoseIn, InsertIn, DropIn     float64 // a bit, a byte, a byte more, the block
	FlipOut, LoseOut, InsertOut, DropOut float64
	Nack                                 float64 // an access is not acknowledged
	Number                               float64 // an I-block has the wrong number
	Extend                               float64 // the chip asks for time that it does not need
	Stretch                              float64 // it needs up to StretchTo
	Late                                 float64 // likewise, and it does not ask for the time
	FaintBefore                          float64 // it restarts when it has got a command
	FaintAfter                           float64 // it restarts when it has executed a command
	FaintSending                         float64 // it restarts in the middle of a block
	Mute                                 float64 // it is silent until a reset by its line

	StretchTo time.Duration
}

// Faults are what goes wrong with a [Chip]. It is for one chip.
type Faults struct {
	Chances Chances
	Rand    *rand.Rand
	Off     bool // nothing goes wrong
	counts  map[*float64]int
}

// Rough are chances at which every fifth command or so meets a fault.
func Rough() Chances { return chances(0.01, 0.002, 0.0002) }

// Storm are chances at which most commands meet several faults.
func Storm() Chances { return chances(0.06, 0.02, 0.0005) }

// chances are those of what happens often, of what happens seldom, and of a chip
// that goes mute.
func chances(often, seldom, mute float64) Chances {
	return Chances{
		FlipIn: often, LoseIn: often, InsertIn: often, DropIn: seldom,
		FlipOut: often, LoseOut: often, InsertOut: often, DropOut: seldom,
		Nack: often, Number: often, Extend: often, Stretch: often, Late: seldom,
		FaintBefore: seldom, FaintAfter: seldom, FaintSending: seldom, Mute: mute,
		StretchTo: 300 * time.Millisecond,
	}
}

// Switch turns all faults on or off.
func (f *Faults) Switch(c *Chip, on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f.Off = !on
}

// Total counts what went wrong.
func (f *Faults) Total() int {
	n := 0
	for _, k := range f.counts {
		n += k
	}
	return n
}

// chances never is nil.
func (f *Faults) chances() *Chances {
	if f == nil {
		return &Chances{}
	}
	return &f.Chances
}

// happens throws the dice for one kind of fault.
func (f *Faults) happens(_ *Chip, chance *float64) bool {
	if f == nil || f.Off || *chance == 0 || f.Rand.Float64() >= *chance {
		return false
	}
	if f.counts == nil {
		f.counts = map[*float64]int{}
	}
	f.counts[chance]++
	return true
}

func (f *Faults) nack(c *Chip) bool {
	return c.opts.Wire == I2C && f.happens(c, &f.chances().Nack)
}

// stretch is time that the chip needs without reason.
func (f *Faults) stretch(c *Chip) time.Duration {
	late := c.brain.silent && !c.opts.Family.noExtend
	if !f.happens(c, &f.chances().Stretch) && !late {
		return 0
	}
	return time.Duration(f.Rand.Int64N(int64(f.Chances.StretchTo)))
}

// incoming is a block of the host as it arrives, nil if it does not.
func (f *Faults) incoming(c *Chip, raw []byte) []byte {
	if f == nil || f.Off {
		return raw
	}
	k := &f.Chances
	damaged := f.damage(c, raw, &k.FlipIn, &k.LoseIn, &k.InsertIn)
	if _, ok := c.decode(c.opts.Family.fromHost, damaged); ok {
		damaged = raw
	}
	if f.happens(c, &k.DropIn) {
		return nil
	}
	return damaged
}

// outgoing is a block of the chip as it leaves, nil if it does not.
func (f *Faults) outgoing(c *Chip, raw []byte) []byte {
	if f == nil || f.Off {
		return raw
	}
	k := &f.Chances
	damaged := f.damage(c, raw, &k.FlipOut, &k.LoseOut, &k.InsertOut)
	if f.happens(c, &k.FaintSending) {
		if cut := damaged[:f.Rand.IntN(len(damaged))]; !c.misleads(cut) {
			c.thenFaint = true
			return cut
		}
	}
	if !bytes.Equal(damaged, raw) && c.misleads(damaged) {
		damaged = raw
	}
	if f.happens(c, &k.Mute) {
		c.mute = true
	}
	if f.happens(c, &k.DropOut) || len(damaged) == 0 {
		return nil
	}
	return damaged
}

// damage is a copy of raw with a bit, a byte or nothing wrong.
func (f *Faults) damage(c *Chip, raw []byte, flip, lose, insert *float64) []byte {
	b := bytes.Clone(raw)
	if f.happens(c, flip) {
		b[f.Rand.IntN(len(b))] ^= 1 << f.Rand.IntN(8)
	}
	if f.happens(c, lose) {
		at := f.Rand.IntN(len(b))
		b = append(b[:at], b[at+1:]...)
	}
	if f.happens(c, insert) {
		at := f.Rand.IntN(len(b) + 1)
		b = append(b[:at], append([]byte{byte(f.Rand.Uint32())}, b[at:]...)...)
	}
	return b
}

// number is an I-block with the right number or not.
func (f *Faults) number(c *Chip, b block) block {
	if f.happens(c, &f.chances().Number) {
		b.pcb ^= 0x40
	}
	return b
}
