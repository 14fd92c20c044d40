package cardsim

import (
	"time"

	"github.com/cloud-of-se/tses/apdu"
	"github.com/cloud-of-se/tses/drivers"
	"periph.io/x/conn/v3/physic"
)

// Options describe a card and the line to it.
type Options struct {
	// Brain executes commands, one call at a time. It is powered on at every
	// reset. On T=0 it gets short commands, and those of ENVELOPE.
	Brain drivers.SE

	// ATR is the answer to reset, in direct or inverse convention by its
	// first byte. It must be well formed.
	ATR []byte

	// Sends is what comes on the wire instead of ATR, if it is not nil: an
	// answer to reset that is not well formed.
	Sends []byte

	// OnlyT0 makes a card confirm every PPS, go to its rate, and speak T=0.
	OnlyT0 bool

	// Clock is the frequency at CLK; 0 is 3.84 MHz.
	Clock physic.Frequency

	// PPS is how the card takes PPS.
	PPS PPS

	// Single lets the card acknowledge one byte at a time on T=0.
	Single bool

	// Time is how long the brain thinks about a command. The card asks for
	// more time by NULL bytes or S(WTX) where that is long.
	Time func(command []byte) time.Duration

	// Misbehave is asked about every command before it is executed.
	Misbehave func(command []byte) Misbehaviour

	// Noise is asked about every character.
	Noise func(Transit) Damage

	// MaxRate is the fastest that the terminal's UART can do, in bits per
	// second; 0 is any rate.
	MaxRate int

	// NoEcho keeps the terminal from hearing its own characters.
	NoEcho bool

	// Empty tells whether the slot is empty.
	Empty func() bool

	// Warm is the answer to a warm reset where it is another one.
	Warm []byte
}

// PPS is how a card takes PPS (ISO/IEC 7816-3, clause 9).
type PPS uint8

const (
	Accepts     PPS = iota
	RefusesRate     // answers without PPS1: default values
	Silent          // does not answer, and waits for a reset
	Garbles         // answers with a wrong check byte
	Lies            // answers with another rate than the one asked for
)

// Misbehaviour is what a card does with one command instead of its duty.
type Misbehaviour uint8

const (
	Behaves        Misbehaviour = iota
	MuteBefore                  // falls silent before it executes the command
	MuteAfter                   // executes it and falls silent
	RestartBefore               // loses its state and sends an answer to reset
	RestartAfter                // executes the command first
	Waits                       // asks for more time thrice
	WrongProcedure              // T=0: sends a byte that is no procedure byte; T=1: an unknown PCB
	WrongSequence               // T=1: answers with a wrong N(S); T=0: as Behaves
)

// Transit is a character on its way.
type Transit struct {
	ToCard bool
	Byte   byte // as a UART sends it: lowest bit first, high is 1
}

// Damage is what happens to a character. The zero value is nothing.
type Damage struct {
	Flip     uint16 // bits to invert for the receiver, the parity bit is bit 8
	Lose     bool   // the receiver misses it
	FlipEcho uint16 // bits to invert in what the terminal hears of its own character
	LoseEcho bool   // the terminal misses it
	Pulse    bool   // a short low comes to the terminal behind it
}

// WithTA1 is a plain answer to reset for tests: these protocols, TA(1) if it is
// not 0, and N of TC(1) if it is not 0. It panics on what cannot be encoded.
func WithTA1(inverse bool, ta1 byte, n int, protocols ...int) []byte {
	a := apdu.NewATR([]byte{0x80, 'S', 'I', 'M'}, protocols...)
	a.Inverse = inverse
	if len(a.Groups) == 0 {
		a.Groups = make([]apdu.InterfaceGroup, 1)
	}
	if ta1 != 0 {
		a.Groups[0].TA = apdu.Interface(ta1)
	}
	if n != 0 {
		a.Groups[0].TC = apdu.Interface(byte(n))
	}
	b, err := a.Bytes()
	if err != nil {
		panic(err)
	}
	return b
}
