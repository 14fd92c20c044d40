package boards

import "periph.io/x/conn/v3/physic"

// output is a pin on which a clock generator GPCLKn comes out.
type output struct {
	generator int
	pin       Pin
}

// A card takes a clock of 1 to 5 MHz until a PPS (ISO/IEC 7816-3, 5.2.3).
// Adapters with a crystal of 6 MHz are about, and many cards bear them.
const (
	leastCardClock = physic.MegaHertz
	mostCardClock  = 5 * physic.MegaHertz
	mostOscillator = 6 * physic.MegaHertz
)
