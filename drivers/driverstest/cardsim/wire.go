package cardsim

import (
	"math/bits"
	"time"

	"github.com/cloud-of-se/tses/drivers/iso7816"
)

// seenAfter is when a receiver has sampled the stop bit, in etu.
const seenAfter = 10.5

// frame is a character on the wire: eight data bits as a UART numbers them and
// the parity bit, bit 8.
type frame uint16

// arrival is a character on its way to one side.
type arrival struct {
	lead, at time.Duration // its leading edge; when the receiver has it
	frame    frame
	garbled  bool // not receivable: another rate, or a collision
}

// wire is contact I/O with the UART of the terminal at one end. Times count
// from its making. Nothing on it happens by itself: what is due is worked out
// when somebody looks.
type wire struct {
	epoch    time.Time
	mode     iso7816.Mode
	free     time.Duration // when the terminal's UART can send again
	toCard   []arrival     // in order
	toReader []arrival     // in order
	noise    func(Transit) Damage
	noEcho   bool
	anyRate  bool // the terminal's UART has the rate of the card, whatever it is
}

func (w *wire) now() time.Duration { return time.Since(w.epoch) }

// readerETU is the terminal's elementary time unit in nanoseconds.
func (w *wire) readerETU() float64 { return 1e9 / float64(w.mode.Rate) }

// fits tells whether the terminal's UART can receive characters of this
// elementary time unit, and the card those of the UART.
func (w *wire) fits(etu float64) bool {
	ratio := etu / w.readerETU()
	return w.anyRate || ratio <= 1.02 && ratio >= 0.98
}

func after(t time.Duration, etus, etu float64) time.Duration {
	return t + time.Duration(etus*etu+0.5)
}

func evenParity(raw byte) frame { return frame(bits.OnesCount8(raw)&1) << 8 }

// write puts characters of the terminal on the wire.
func (w *wire) write(p []byte, inverse bool) {
	etu := w.readerETU()
	w.free = max(w.free, w.now())
	for _, raw := range p {
		f := frame(raw) | evenParity(raw)
		if w.mode.Parity == iso7816.Odd || w.mode.Parity == iso7816.NoParity && inverse {
			f ^= 0x100
		}
		a := arrival{lead: w.free, at: after(w.free, seenAfter, etu), frame: f}
		w.free = after(w.free, 10+float64(w.mode.Stop), etu)
		damage := w.damage(Transit{ToCard: true, Byte: raw})
		heard := a
		a.frame ^= frame(damage.Flip)
		heard.frame ^= frame(damage.FlipEcho)
		w.collide(&a, etu)
		heard.garbled = a.garbled
		if !damage.Lose {
			w.toCard = append(w.toCard, a)
		}
		if !damage.LoseEcho && !w.noEcho {
			w.insert(heard)
		}
		if damage.Pulse {
			w.pulse(after(a.lead, 10.6, etu), etu)
		}
	}
}

// fromCard puts a character of the card on the wire.
func (w *wire) fromCard(lead time.Duration, f frame, etu float64) {
	a := arrival{lead: lead, at: after(lead, seenAfter, etu), frame: f}
	damage := w.damage(Transit{Byte: byte(f)})
	a.frame ^= frame(damage.Flip)
	a.garbled = !w.fits(etu)
	for i := range w.toCard { // the terminal talks too
		if near(w.toCard[i].lead, lead, etu) {
			w.toCard[i].garbled, a.garbled = true, true
		}
	}
	if !damage.Lose {
		w.insert(a)
	}
	if damage.Pulse {
		w.pulse(after(lead, 10.6, etu), etu)
	}
}

func (w *wire) damage(t Transit) Damage {
	if w.noise == nil {
		return Damage{}
	}
	return w.noise(t)
}

// pulse is a low of one etu. A UART takes it for the start bit of FF with the
// parity bit high. Where a character begins before that one would be over, the
// UART misses that character's start bit and makes something else of both.
func (w *wire) pulse(lead time.Duration, etu float64) {
	a := arrival{lead: lead, at: after(lead, seenAfter, etu), frame: 0x1FF}
	for i := range w.toReader {
		if t := w.toReader[i].lead; t > lead && near(t, lead, etu) {
			w.toReader[i].garbled = true
			return
		}
	}
	w.insert(a)
}

// near tells whether two characters overlap.
func near(a, b time.Duration, etu float64) bool {
	return (a - b).Abs() < time.Duration(seenAfter*etu)
}

// collide spoils a character of the terminal that is sent while the card sends.
func (w *wire) collide(a *arrival, etu float64) {
	for i := range w.toReader {
		if other := &w.toReader[i]; other.lead != a.lead && near(other.lead, a.lead, etu) {
			other.garbled, a.garbled = true, true
		}
	}
}

// insert keeps toReader in order.
func (w *wire) insert(a arrival) {
	i := len(w.toReader)
	for i > 0 && w.toReader[i-1].at > a.at {
		i--
	}
	w.toReader = append(w.toReader, arrival{})
	copy(w.toReader[i+1:], w.toReader[i:])
	w.toReader[i] = a
}

// seen is what the terminal's UART makes of a character.
func (w *wire) seen(a arrival) iso7816.Char {
	c := iso7816.Char{Byte: byte(a.frame)}
	if a.garbled {
		return iso7816.Char{Byte: ^c.Byte, Bad: true}
	}
	switch parity := a.frame & 0x100; w.mode.Parity {
	case iso7816.Even:
		c.Bad = parity != evenParity(c.Byte)
	case iso7816.Odd:
		c.Bad = parity == evenParity(c.Byte)
	}
	return c
}

// silence takes away what the card has not yet sent.
func (w *wire) silence(now time.Duration) {
	w.toCard = w.toCard[:0]
	kept := w.toReader[:0]
	for _, a := range w.toReader {
		if a.lead <= now {
			kept = append(kept, a)
		}
	}
	w.toReader = kept
}
