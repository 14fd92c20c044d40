// Package cardvm boots the Raspberry Pi's kernel in a virtual machine (QEMU)
// with a program of a test as its only process and the simulated card of
// package cardsim at the far end of a serial port. So the driver for cards meets
// a real tty driver of the kernel. The card's contacts come in the stream of
// the port, from StreamContacts of package cardsim.
//
// QEMU's serial port has no timing and no parity bits; its settings are those of
// the real driver.
//
// Tests that use it are left out unless TSES_TEST_ALL=1.
package cardvm
