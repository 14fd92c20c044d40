package iso7816_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"
	"testing/synctest"

	"github.com/cloud-of-se/tses/apdu"
	"github.com/cloud-of-se/tses/drivers"
	"github.com/cloud-of-se/tses/drivers/driverstest/cardsim"
	shared "github.com/cloud-of-se/tses/drivers/driverstest/ordeal"
	"github.com/cloud-of-se/tses/drivers/iso7816"
	"github.com/cloud-of-se/tses/internal/needs"
)

// ordeal is random commands under random faults on one link.
type ordeal struct {
	t        *testing.T
	rng      *rand.Rand
	name     string
	protocol int
	opts     iso7816.Opts
	card     cardsim.Options
	brain    *oracle

	calm      bool // no faults now
	next      int  // characters until the next one
	apart     int  // at most so many characters between two
	one       bool // one fault per command at the most
	doubled   bool // there was one that leaves the parity right
	pulses    bool
	misbehave cardsim.Misbehaviour
	wrong     int
	good, bad int
}

// TestNothingWrong: whatever happens on the wire and in the card, an answer is
// the right one or an error, nothing is executed twice, and the driver is
// usable afterwards. What no driver could tell is left out:
//   - T=0 has nothing but the parity bit: there is one fault in a command.
//   - T=1 has an LRC besides: there is one fault in a command that leaves the
//     parity right, and any number of others.
//   - In inverse convention a short low is a good character, 00, which the LRC
//     does not count and which makes T=0 take a last byte 60 for NULL.
func TestNothingWrong(t *testing.T) {
	total := 10000
	switch {
	case needs.Full():
		total = 100000
	case testing.Short() || raceEnabled:
		total = 2000
	}
	links := []ordeal{
		{name: "T=0", card: cardsim.Options{ATR: cardsim.WithTA1(false, 0x95, 0, 0)}, pulses: true},
		{name: "T=0, byte by byte", card: cardsim.Options{ATR: cardsim.WithTA1(false, 0, 0, 0), Single: true}, pulses: true},
		{name: "T=0 inverse", card: cardsim.Options{ATR: cardsim.WithTA1(true, 0x18, 0, 0)}},
		{name: "T=0 with repetition", card: cardsim.Options{ATR: cardsim.WithTA1(false, 0x97, 2, 0)}, opts: iso7816.Opts{Repeat: true}},
		{name: "T=1", card: cardsim.Options{ATR: cardsim.WithTA1(false, 0x97, 0, 1)}, protocol: 1, pulses: true},
		{name: "T=1, CRC, IFSC 254, N=255", card: cardsim.Options{ATR: atrCRC(t)}, protocol: 1, pulses: true},
		{name: "T=1 inverse, default rate", card: cardsim.Options{ATR: cardsim.WithTA1(true, 0, 0, 1)}, protocol: 1},
	}
	for i := range links {
		o := &links[i]
		t.Run(o.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o.t, o.rng = t, rand.New(rand.NewPCG(shared.Seed(), uint64(i)))
				o.run(total / len(links))
			})
		})
	}
}

// atrCRC is an answer to reset with T=1, CRC, IFSC 254, CWI 4, BWI 2, N=255.
func atrCRC(t *testing.T) []byte {
	t.Helper()
	b, err := apdu.ATR{Groups: []apdu.InterfaceGroup{
		{TA: apdu.Interface(0x96), TC: apdu.Interface(255)},
		{T: 1},
		{T: 1, TA: apdu.Interface(254), TB: apdu.Interface(0x24), TC: apdu.Interface(1)},
	}}.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (o *ordeal) run(n int) {
	o.brain = &oracle{}
	o.card.Brain, o.card.Noise = o.brain, o.noise
	o.card.Misbehave = func([]byte) cardsim.Misbehaviour { return o.misbehave }
	slot, err := cardsim.New(o.card)
	if err != nil {
		o.t.Fatal(err)
	}
	d, err := iso7816.New(slot, slot, slot, &o.opts)
	if err != nil {
		o.t.Fatal(err)
	}
	o.powerOn(d, true)
	for i := range n {
		if o.wrong > 3 {
			break
		}
		failed := o.command(d, i)
		if failed && o.rng.IntN(2) == 0 {
			o.misbehave, o.calm = cardsim.Behaves, true
			failed = o.command(d, i) // it may be out of step, but not wrong
		}
		if failed {
			o.powerOn(d, o.rng.IntN(2) == 0)
		}
	}
	if err := d.PowerOff(o.t.Context()); err != nil {
		o.t.Error(err)
	}
	o.t.Logf("%d right answers, %d errors", o.good, o.bad)
	if o.good < n/3 || o.bad < n/50 {
		o.t.Errorf("%d right answers and %d errors: that is no test", o.good, o.bad)
	}
}

// powerOn brings the card back; calm says without faults.
func (o *ordeal) powerOn(d *iso7816.Dev, calm bool) {
	o.misbehave = cardsim.Behaves
	for _, o.calm = range []bool{calm, true} {
		o.plan()
		o.one = true // T0 and the number of bytes are all there is to check
		atr, err := o.bringBack(d)
		if err == nil {
			if !bytes.Equal(atr, o.card.ATR) {
				o.fail("power on or reset: %X, want %X", atr, o.card.ATR)
			}
			return
		}
		if o.calm {
			o.fail("power on or reset without faults: %v", err)
			return
		}
	}
}

// bringBack is one of the three ways.
func (o *ordeal) bringBack(d *iso7816.Dev) ([]byte, error) {
	kind := drivers.ResetKind(o.rng.IntN(2))
	if o.rng.IntN(2) == 0 {
		if atr, err := d.Reset(o.t.Context(), kind); !errors.Is(err, drivers.ErrPoweredOff) {
			return atr, err
		}
	}
	return d.PowerOn(o.t.Context())
}

func (o *ordeal) fail(format string, args ...any) {
	o.t.Helper()
	o.wrong++
	o.t.Errorf(format, args...)
}

// plan draws the faults for what comes now.
func (o *ordeal) plan() {
	o.next, o.doubled = -1, false
	if o.calm {
		return
	}
	o.one = o.protocol == 0
	switch o.rng.IntN(4) {
	case 0:
		o.next = o.rng.IntN(12)
	case 1:
		o.next = o.rng.IntN(100)
	}
}

// noise is the fault at a character.
func (o *ordeal) noise(tr cardsim.Transit) cardsim.Damage {
	if o.calm || o.next < 0 {
		return cardsim.Damage{}
	}
	if o.next--; o.next >= 0 {
		return cardsim.Damage{}
	}
	if o.next = -1; !o.one {
		o.next = o.rng.IntN(o.apart)
	}
	flip := uint16(1) << o.rng.IntN(9)
	if !tr.ToCard && !o.one && !o.doubled && o.rng.IntN(4) == 0 {
		flip |= 1 << o.rng.IntN(9)
		o.doubled = true
	}
	damage := []cardsim.Damage{
		{Flip: flip}, {Flip: flip, FlipEcho: flip}, {FlipEcho: flip}, {Lose: true}, {LoseEcho: true}, {Pulse: true},
	}
	if !tr.ToCard {
		damage = []cardsim.Damage{{Flip: flip}, {Lose: true}, {Pulse: true}}
	}
	if !o.pulses {
		damage = damage[:len(damage)-1]
	}
	return damage[o.rng.IntN(len(damage))]
}

// command sends one and judges what came of it.
func (o *ordeal) command(d *iso7816.Dev, i int) (failed bool) {
	cmd := o.random()
	o.apart = 60
	if o.protocol == 1 && i%500 == 250 {
		cmd = o.huge()
		o.apart = 40000
	}
	raw, err := cmd.Bytes()
	if err != nil {
		o.t.Fatal(err)
	}
	if !o.calm && o.rng.IntN(12) == 0 {
		o.misbehave = cardsim.Misbehaviour(o.rng.IntN(int(cardsim.WrongSequence) + 1))
	}
	o.plan()
	o.brain.executed = o.brain.executed[:0]
	got, err := d.Transmit(o.t.Context(), raw)
	executed := len(o.brain.executed)
	switch want := o.want(cmd); {
	case executed > 1:
		o.fail("%v was executed %d times", cmd, executed)
	case err == nil && !bytes.Equal(got, want):
		o.fail("%v: got %.60X (%d bytes), want %.60X (%d bytes)", cmd, got, len(got), want, len(want))
	case err == nil && executed != 1:
		o.fail("%v was answered and executed %d times", cmd, executed)
	case err != nil && executed > 0 && !errors.Is(err, drivers.ErrOutcomeUnknown):
		o.fail("%v was executed, and the error does not say so: %v", cmd, err)
	case executed == 1 && !same(o.brain.executed[0], cmd):
		o.fail("%v was sent, %X was executed", cmd, o.brain.executed[0])
	}
	o.misbehave, o.calm = cardsim.Behaves, false
	if err != nil {
		o.bad++
		return true
	}
	o.good++
	return false
}
