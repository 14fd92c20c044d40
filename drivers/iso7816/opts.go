package iso7816

import (
	"fmt"
	"time"

	"github.com/cloud-of-se/tses/apdu"
)

// Protocol is the transmission protocol to be spoken.
type Protocol uint8

const (
	Auto Protocol = iota // T=1 where the card offers it, else T=0
	T0
	T1
)

// Opts say how a card is spoken to.
type Opts struct {
	Protocol Protocol

	// MaxRate bounds what PPS asks for, in bits per second; 0 is no bound.
	MaxRate int

	// Class is the class of VCC: [apdu.ClassA] 5 V, ClassB 3 V, ClassC 1.8 V.
	// A card that says that it does not take it is switched off again. 0 does
	// not look.
	Class byte

	// NoEcho is for adapters that keep what is sent from being heard.
	NoEcho bool

	// NoParity is for pseudo-terminals and emulated lines that have no parity
	// bits. A real card does not answer on such a line.
	NoParity bool

	// Repeat repeats characters that a card on T=0 rejects by its error signal
	// (ISO/IEC 7816-3, 7.3), up to three times. A UART sees no more of the
	// signal than a short low, and it must listen after every character, which
	// makes sending two times slower. Noise that looks like the signal lets the
	// card get a character twice. Without it a rejected character ends the
	// command with an error.
	Repeat bool

	// AnyTCK takes an answer to reset whose TCK is wrong or missing, or is there
	// without need (ISO/IEC 7816-3, 8.2.5). Readers on USB take it, and one card
	// in seventy or so needs that; but TCK is all that tells a damaged answer
	// to reset from a sound one beside the parity bits. A missing one costs a
	// second.
	AnyTCK bool

	// Latency is how much later than it arrives a character may be seen: the
	// UART's FIFO, the USB and the scheduler. It is added to all waiting
	// times and costs time only where a card is silent.
	Latency time.Duration

	// FIFODelay is for how many etu the UART holds a lone character back: 32
	// on a PL011. It lengthens the look for characters that nobody asked
	// for, which follows every exchange; 0 is quick and finds fewer.
	FIFODelay int

	// PowerUp is the time that VCC needs to rise, PowerDown the shortest time
	// without power before the next activation.
	PowerUp, PowerDown time.Duration

	// Attempts is how often an answer to reset is asked for until one is good.
	Attempts int

	// MaxWaits is how many NULL bytes or WTX requests of a card are granted
	// within one command.
	MaxWaits int
}

// DefaultOpts suit most cards and lines.
var DefaultOpts = Opts{
	Latency:   50 * time.Millisecond,
	PowerUp:   5 * time.Millisecond,
	PowerDown: 10 * time.Millisecond,
	Attempts:  3,
	MaxWaits:  1000,
}

// check refuses what makes no sense and fills in what was left out.
func (o *Opts) check() error {
	switch {
	case o.Protocol > T1:
		return fmt.Errorf("Opts.Protocol %d: Auto, T0 or T1", o.Protocol)
	case o.Class&^(apdu.ClassA|apdu.ClassB|apdu.ClassC) != 0:
		return fmt.Errorf("Opts.Class %02X: a class of VCC, or 0", o.Class)
	case o.MaxRate < 0, o.Latency < 0, o.PowerUp < 0, o.PowerDown < 0, o.Attempts < 0, o.MaxWaits < 0, o.FIFODelay < 0:
		return fmt.Errorf("Opts %+v: nothing may be negative", *o)
	}
	if o.Attempts == 0 {
		o.Attempts = DefaultOpts.Attempts
	}
	if o.MaxWaits == 0 {
		o.MaxWaits = DefaultOpts.MaxWaits
	}
	return nil
}
