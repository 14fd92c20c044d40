// Package pcscdoor shows the secure elements of a TSES as readers to the PC/SC
// programs of this machine: a [pcsclite.Server] on one side, RACS on the other.
//
// Each SE is a reader with its card in it. The card is powered on, and so
// taken from all others, when the first program connects, and free again when
// the last one has gone. To know the card's ATR before, the door powers each
// SE on and off once when it comes.
//
// A session of RACS executes one command after the other, so that a slow SE
// would keep others waiting: each SE has a session of its own while it is in
// use, besides the one that asks again and again which SEs there are. What
// ends a session ends the card in its reader. The SE's card comes back into
// the reader when the SE can be powered on again. Nothing is sent twice.
package pcscdoor
