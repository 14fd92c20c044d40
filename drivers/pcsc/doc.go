// Package pcsc serves the cards in the readers of a host's pcscd.
//
// It speaks pcscd's own protocol on pcscd's socket (package pcsclite), and needs
// neither cgo nor a library. macOS and Windows have no such socket: there it is
// the system's library, by way of github.com/ebfe/scard, on macOS with cgo. The tag
// scard chooses that on Linux too, and is there to compare the two:
//
//	apt-get install libpcsclite-dev
//	go build -tags scard ./appliance
//
// A [Host] watches the readers. The configuration names the SEs that are to
// stay ([Host.Element]): each is the first reader, and the card in it, that
// its [Match] fits, and is there as an SE even while there is no such reader.
// With [Options.Found] every other card becomes an SE while it is in its
// reader, under a SEID that [SEID] derives from the reader's name and the
// card's answer to reset.
//
// # Power
//
// An SE that is on is connected for exclusive use (SCARD_SHARE_EXCLUSIVE): no
// other program of the host can reach the card. What is on in another program
// is refused, and the error says so. The calls of [drivers.SE] are
//
//	PowerOn      SCardConnect, SCardReconnect with SCARD_UNPOWER_CARD
//	Reset Cold   SCardReconnect with SCARD_UNPOWER_CARD
//	Reset Warm   SCardReconnect with SCARD_RESET_CARD
//	Transmit     SCardTransmit, with the protocol that was chosen at the reset
//	PowerOff     SCardDisconnect with SCARD_UNPOWER_CARD
//
// T=1 takes every APDU. On T=0 a short one is one TPDU, and 61XX and 6CXX are
// the answer; an extended one, which T=0 has no length fields for, becomes TPDUs
// as ISO/IEC 7816-3, 12.2 has it, with ENVELOPE and GET RESPONSE.
//
// # Bounds
//
// Every call ends with its context. pcscd cannot be told to give up what it has
// begun: such a call is left to itself, the SE is taken as off, and its reader can
// be powered on when pcscd has answered. Where pcscd goes away the SEs are
// removed, and come back with it; the host looks for it from every tenth of a
// second to every two seconds.
//
// The C library keeps the states of all readers in one place for the whole
// process, and ebfe/scard the names that it waits on: with it, there is one [Host]
// in a process at a time.
package pcsc
