// Package cardsim is a card of ISO/IEC 7816-3 for tests of what talks to cards:
// contacts, characters, answer to reset, PPS, T=0 and T=1, written from the
// standard on the card's side and sharing no code with the driver. Its brain is
// any [drivers.SE].
//
// The [Slot] is what a driver gets: a UART, contacts and a clock. It keeps the
// time of every character, so that a test sees what the wire costs and whether
// guard and waiting times are kept; in a bubble of testing/synctest that takes
// no time. [Slot.Violations] tells what the terminal did wrong.
//
// Noise on the wire and misbehaviour of the card come from functions in
// [Options].
package cardsim
