package t1

import "time"

// A Dialect is how a family of chips speaks T=1. The fields are what the
// start-up finds; the chip's answer to it may replace some of them.
type Dialect struct {
	Name string

	ToChip, FromChip byte // NAD of the blocks to and from the chip
	Len              LenForm
	EDC              EDC
	MaxINF           int // the longest INF field that the LEN field and the chips take

	IFSC int           // the most INF bytes in a block to the chip, until it says more
	IFSD int           // the most INF bytes that the chip sends without being told
	IFS  IFSRule       // what S(IFS request) of the host is for
	BWT  time.Duration // block waiting time, until the chip says another

	Hello     Hello // how the chip says who it is
	HelloS    byte  // type of the S-block that asks for it; [NoS] if it needs none
	SoftReset byte  // type of the S-block that resets; [NoS] if there is none
	End       byte  // type of the S-block at the end of use; [NoS] if there is none

	// Clears says that SoftReset is the secure element's and not that of its
	// interface alone: no channel, selection or PIN state is left behind it.
	Clears bool

	// Bare dialects carry a whole APDU in one block of this type without
	// numbers or chaining; 0 for all others.
	Bare byte
}

// LenForm is the form of the LEN field.
type LenForm uint8

const (
	Len8     LenForm = iota // 1 byte
	Len16                   // 2 bytes, the high one first
	Len8or16                // 1 byte, or FF and 2 bytes for 255 and more
)

// IFSRule is what the host's S(IFS request) is for.
type IFSRule uint8

const (
	IFSMore   IFSRule = iota // ISO/IEC 7816-3, 11.4.2: the chip may send more than IFSD from now on
	IFSAlways                // it is a part of the start: ST54
	IFSBoth                  // it sets the size for both directions, and is within what the chip offers: NXP eSE
)

// Hello is the form in which a chip says who it is and how it wants to be
// spoken to.
type Hello uint8

const (
	NoHello    Hello = iota
	HelloCIP         // the parameters of GPC_SPE_172: answer to S(CIP)
	HelloNXP         // the ATR of NXP UM11225
	HelloISO         // an answer to reset of ISO/IEC 7816-3, with or without TS
	HelloBytes       // bytes without known form: historical bytes
	HelloATP         // raw bytes after a reset pulse, outside of any block; in a block after S(SWR)
	HelloeSE         // the parameters of NXP's eSE: answer to S(interface reset)
)

// Types of S-blocks (ISO/IEC 7816-3, 11.3.2.2; GPC_SPE_172 for those from CIP
// on). The PCB of a request is C0 and the type, that of a response E0 and the
// type.
const (
	SResynch = 0x00
	SIFS     = 0x01
	SAbort   = 0x02
	SWTX     = 0x03
	SCIP     = 0x04
	SRelease = 0x06
	SSWR     = 0x0F

	NoS = 0xFF
)

// Other numbers for what the makers' own dialects do.
const (
	sInterfaceReset = 0x04 // NXP eSE
	sEndOfSession   = 0x05 // NXP
	sThalesReset    = 0x05
	sSoftReset      = 0x0F // NXP UM11225, IoSE, ST54: the response carries the ATR, the ATP
	sBareAPDU       = 0x01 // IoSE
)
