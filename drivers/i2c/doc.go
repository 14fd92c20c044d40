// Package i2c drives secure elements on an I²C bus. It speaks T=1' of
// GlobalPlatform (GPC_SPE_172), NXP's T=1 over I2C (UM11225: SE050, SE051,
// A5000) and the framing of the I2C grid boards of the author of
// draft-urien-cfrg-cose, over a bus of periph.io.
//
//	bus, err := i2creg.Open("/dev/i2c-1")
//	opts := i2c.DefaultOpts
//	opts.Dialect = i2c.UM11225
//	se, err := i2c.New(bus, 0x48, &opts)
//	atr, err := se.PowerOn(ctx)
//
// A write and the read of its answer are never joined to one transaction: a
// chip needs the stop condition between them. A bus of periph.io lets one
// access at a time through, so several chips with different addresses share it,
// each with a [Dev] and a goroutine of its own. The bus clock is the system's
// (on a Raspberry Pi: dtparam=i2c_arm_baudrate in config.txt).
//
// periph.io hides the errno of a failed access, so every failure is taken as a
// chip that does not acknowledge, and tried again until its time is over.
package i2c
