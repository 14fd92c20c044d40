// Package chipbus is what a secure element on SPI and one on I2C have in
// common: the accesses to the bus with the times that the chip asks for, the
// search for an answer, start-up, reset, and [drivers.SE] on top of the block
// engine of package t1. Packages spi and i2c put periph.io under it.
//
// A block to the chip is one access where the chip's limit allows. A block
// from it is two: one that reads as many bytes as the shortest block has, which
// holds the length, and one for the rest. Between them lie the guard times; the
// first look for an answer is made when the last answer of the same kind was
// there, the following ones after the least time that the chip allows.
package chipbus
