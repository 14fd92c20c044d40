package iso7816

import (
	"context"
	"errors"
	"time"

	"periph.io/x/conn/v3/physic"
)

// A UART is contact C7 of the card, I/O, where what is sent is heard as well.
// Its methods are called by one goroutine at a time.
type UART interface {
	// Configure sets the rate and the form of the characters, and makes sure
	// that the UART has taken them. It matches [ErrUnsupported] where it
	// cannot. Characters that have been written go out before.
	Configure(m Mode) error

	// Write sends characters back to back: one every 10 + Mode.Stop bits. It
	// may return before they are out.
	Write(ctx context.Context, p []byte) error

	// Read returns one or more characters in the order of their arrival. It
	// may wait until p is full as long as they come without a pause. Where
	// none comes until the deadline the error matches
	// [os.ErrDeadlineExceeded]; what is there already is returned even if the
	// deadline is over.
	Read(ctx context.Context, p []Char, deadline time.Time) (int, error)

	// SetBreak holds I/O low, or lets it go.
	SetBreak(low bool) error

	// String is the place: "/dev/ttyAMA0".
	String() string
	Close() error
}

// Mode is the form of characters. There are always eight data bits.
type Mode struct {
	Rate   int // bits per second
	Parity Parity
	Stop   int // stop bits, 1 or 2: characters of 11 or 12 etu
}

// Parity is the parity that a UART sends and checks.
type Parity uint8

// Direct convention has even parity. Inverse convention looks to a UART like
// odd parity, with all bits inverted and the highest one first.
const (
	Even Parity = iota
	Odd
	NoParity // for pseudo-terminals, which have none
)

// Char is a character as the UART has received it.
type Char struct {
	Byte byte
	Bad  bool // wrong parity, or no stop bit
}

// Contacts are the card's contacts besides I/O and CLK.
type Contacts interface {
	// Present tells whether a card is there, true where nothing can tell.
	Present() (bool, error)
	SetVCC(on bool) error
	SetRST(high bool) error
	String() string
}

// Clock is contact C3, CLK.
type Clock interface {
	// Frequency is the one that the card gets; it never changes.
	Frequency() physic.Frequency
	Start() error
	// Stop leaves CLK low. A clock that cannot be stopped does nothing.
	Stop() error
	String() string
}

// ErrUnsupported: the UART, the clock or the board cannot do what was asked
// of it.
var ErrUnsupported = errors.New("not supported")
