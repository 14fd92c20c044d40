// Package chipsim simulates secure elements on SPI and I²C, from the chip's
// side of the wire: what they say about themselves, how they frame and check
// blocks, what they do when something gets lost, when they need time and when
// they faint. It is written from the standards and shares no code with the
// drivers that it tests.
//
//	chip := chipsim.New(chipsim.Options{Family: chipsim.SE050, Brain: card})
//	bus := chipsim.NewI2C(400_000)
//	bus.Attach(0x48, chip)
//	se, err := i2c.New(bus, 0x48, &opts)
//
// A bus keeps the time of every bit by sleeping it; in a bubble of
// testing/synctest that costs nothing and is exact. [Chip.Audit] tells what the
// host did against the rules: accesses too early, too long or too fast,
// repeated start conditions, looks for an answer too often.
package chipsim
