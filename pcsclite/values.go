package pcsclite

// Share is how a connection shares its card (PC/SC part 5, 3.2.5).
type Share uint32

// The share modes. A Direct connection reaches the reader, with or without a
// card, and does not power the card.
const (
	Exclusive Share = 1
	Shared    Share = 2
	Direct    Share = 3
)

// Protocol is a set of transmission protocols, or one of them.
type Protocol uint32

// The protocols. ProtocolAny leaves the choice to the reader.
const (
	T0          Protocol = 1
	T1          Protocol = 2
	Raw         Protocol = 4
	ProtocolAny Protocol = T0 | T1
	// anyOld is an alias of ProtocolAny in programs built for pcsc-lite 1.x.
	anyOld Protocol = 0x1000
)

// Disposition is what becomes of the card at Reconnect, Disconnect and the end
// of a transaction.
type Disposition uint32

// The dispositions. There is no motor behind a socket: Eject takes the power
// away, as Unpower does.
const (
	Leave   Disposition = 0
	Reset   Disposition = 1
	Unpower Disposition = 2
	Eject   Disposition = 3
)

// Status is the state of a reader as a set of bits.
type Status uint32

// The bits of a [Status].
const (
	Unknown    Status = 0x01
	Absent     Status = 0x02
	Present    Status = 0x04
	Swallowed  Status = 0x08 // a card is there and does not answer
	Powered    Status = 0x10
	Negotiable Status = 0x20
	Specific   Status = 0x40
)

// Attribute is the number of an attribute of a reader (PC/SC part 3, 3.1.1.1).
type Attribute uint32

// The attributes that the server answers.
const (
	AttrVendorName         Attribute = 0x00010100
	AttrVendorIFDType      Attribute = 0x00010101
	AttrVendorIFDVersion   Attribute = 0x00010102
	AttrCurrentProtocol    Attribute = 0x00080201
	AttrICCPresence        Attribute = 0x00090300
	AttrICCInterfaceStatus Attribute = 0x00090301
	AttrATR                Attribute = 0x00090303
	AttrICCTypePerATR      Attribute = 0x00090304
	AttrMaxInput           Attribute = 0x0007A007
	AttrDeviceFriendlyName Attribute = 0x7FFF0003
	AttrDeviceSystemName   Attribute = 0x7FFF0004
)

// GetFeatureRequest is the control code that asks a reader for its features
// such as a PIN pad (PC/SC part 10, 2.2).
const GetFeatureRequest uint32 = 0x42000000 + 3400

// The bounds of the protocol in bytes and pieces.
const (
	MaxReaders  = 16                        // readers on one socket
	MaxName     = 127                       // bytes of a reader's name
	MaxATR      = 33                        // bytes of an answer to reset
	MaxTransfer = 4 + 3 + (1 << 16) + 3 + 2 // bytes of a command or a response
	MaxAttr     = 264                       // bytes of an attribute
)
