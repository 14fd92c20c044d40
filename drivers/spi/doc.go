// Package spi drives secure elements on an SPI bus. It speaks T=1' of
// GlobalPlatform (GPC_SPE_172) and what NXP's, ST's and Thales's embedded
// secure elements speak, over a port of periph.io.
//
//	port, err := spireg.Open("/dev/spidev0.0")
//	opts := spi.DefaultOpts
//	se, err := spi.New(port, &opts)
//	atr, err := se.PowerOn(ctx)
//
// The bus is used in mode 0, most significant bit first, one direction at a
// time. Several chips on one bus have a port each, by their chip selects;
// chips behind a decoder of one chip select get theirs from a [Decoder].
package spi
