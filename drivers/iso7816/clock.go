package iso7816

import "periph.io/x/conn/v3/physic"

// FixedClock is an oscillator that runs by itself.
type FixedClock physic.Frequency

// The crystals of Phoenix and Smartmouse adapters.
const (
	Phoenix357 = FixedClock(3579545 * physic.Hertz)
	Phoenix600 = FixedClock(6 * physic.MegaHertz)
)

var _ Clock = FixedClock(0)

// Frequency implements [Clock].
func (c FixedClock) Frequency() physic.Frequency { return physic.Frequency(c) }

// Start implements [Clock].
func (c FixedClock) Start() error { return nil }

// Stop implements [Clock]; an oscillator cannot be stopped.
func (c FixedClock) Stop() error { return nil }

// String is "oscillator 3.580MHz".
func (c FixedClock) String() string { return "oscillator " + c.Frequency().String() }
