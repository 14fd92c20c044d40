// Package t1 is the block protocol that chips on SPI, on I2C and cards on a
// UART share: T=1 of ISO/IEC 7816-3, clause 11, and its offspring T=1' of
// GlobalPlatform's GPC_SPE_172. [Engine] is the host's side: it carries one
// command APDU to the chip and one response APDU back over a [Link] that can
// send and receive one block.
//
// What chips do differently (addresses, length fields, checksums, numbers of
// the supervisory blocks, start-up) is a [Dialect]; dialects.go is the table
// of them.
//
// # Nothing is executed twice
//
// A block that was lost is asked for again, and T=1 numbers its blocks so that
// a chip knows a repeated one. The number has one bit, and a chip that has
// restarted on its own counts from 0 again: when it says "I expect block 0",
// that may mean that block 0 got lost, or that the chip has executed it, has
// fainted and knows nothing of it. The engine believes such an answer only
// where a restart is out of the question (see exchange.sure). In all other
// cases it ends the command with an error, and with
// [drivers.ErrOutcomeUnknown] if the command may have been executed.
package t1
