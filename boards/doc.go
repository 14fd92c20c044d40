// Package boards knows which Raspberry Pi this is, which chip hangs on which
// of its buses, pins and clocks, and whether that can work. A board opens the
// drivers of its chips.
//
//	board, err := boards.Detect(os.DirFS("/"))
//	wiring, err := boards.Element{Driver: "i2c", Carrier: "se050-arduino"}.Wiring("se050")
//	refusals := board.Check(wiring)
//
// A wiring that cannot work is refused before any power is applied, with the
// line for config.txt that would cure it: see [Board.Check]. What the firmware
// has to be told for a set of wirings is [Board.Firmware].
//
// # Which Raspberry Pi
//
//	3B, 3B+, 3A+, CM3, Zero 2 W   I2C 1 (0), SPI 0 1, one PL011, GPCLK0
//	4B, 400, CM4, CM4S            I2C 1 (0) 3 4 5 6, SPI 0 1 3 4 5 6, five PL011, GPCLK0 GPCLK2
//	5, 500, CM5                   five PL011 for cards with an oscillator of their own; see below
//
// On a Raspberry Pi 5 the header hangs on the RP1, whose I2C and SPI need the
// kernel drivers i2c-designware and spi-dw. The kernel of the SD-card image has
// neither, so there is no /dev/i2c-1 and no /dev/spidev0.0; with another kernel
// that has them, i2c1 and spi0 work. How the RP1 puts a clock on a pin is not
// documented, so a card needs an external oscillator.
//
// On any other machine a wiring names a device file in place of a bus: an I2C
// adapter on USB, a Phoenix adapter on /dev/ttyUSB0.
package boards
