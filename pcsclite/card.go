package pcsclite

import "context"

// Card is what a [Reader] gives to programs. The server makes one call at a
// time. Every call obeys its context. An error that is or wraps a [Code] is
// told to the program as that code: [WRemovedCard] and [ENoSmartcard] make the
// reader empty until [Reader.Insert], [WUnresponsiveCard] shows a mute card,
// [ESharingViolation] one that somebody else has. Any other error becomes
// [FCommError].
type Card interface {
	// PowerOn powers the card, or resets one that is on, and returns its
	// answer to reset.
	PowerOn(ctx context.Context) (atr []byte, err error)
	// Reset resets the card and returns its answer to reset.
	Reset(ctx context.Context) (atr []byte, err error)
	// Transmit sends one command APDU, which may be malformed, and returns
	// the response APDU. The command stays the caller's.
	Transmit(ctx context.Context, command []byte) (response []byte, err error)
	// PowerOff ends all security states. On a card that is off it succeeds.
	PowerOff(ctx context.Context) error
}
