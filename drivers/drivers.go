// Package drivers is the contract between a TSES and its secure elements:
// what every SE can do ([SE]) and the errors that it may return.
//
// A driver is small. It turns a chip, a card or a program into five calls;
// logging, GET RESPONSE, ownership, policy and recording are wrappers around
// it. The conformance body in package driverstest holds every driver to what
// is written here.
package drivers

import (
	"context"
	"errors"
)

// SE is one secure element. Its owner makes one call at a time; a driver need
// not lock. Every call obeys its context: when it is done the call returns
// soon, with an error that matches the context's.
type SE interface {
	// PowerOn supplies power, resets the SE (a cold reset, ISO/IEC 7816-3,
	// 6.2.2) and returns its answer to reset, which the caller may keep. On
	// an SE that is on already it is a cold reset. It fails with [ErrNoCard]
	// where nothing is there to be powered, [ErrMute] where what is there
	// does not answer.
	PowerOn(ctx context.Context) (atr []byte, err error)

	// Reset resets the SE without taking its power away for longer than the
	// kind asks for, and returns the answer to reset. All channels but the
	// basic one are closed and all security states lost.
	Reset(ctx context.Context, kind ResetKind) (atr []byte, err error)

	// Transmit sends one command APDU (ISO/IEC 7816-4, 5.1) and returns the
	// response APDU with its status word, which the caller may keep. The
	// command is well formed and stays the caller's. 61XX and 6CXX are
	// answers like any other. An error tells by [ErrOutcomeUnknown] that the
	// command may have been executed; without it the command was not.
	Transmit(ctx context.Context, command []byte) (response []byte, err error)

	// PowerOff ends all channels and security states and takes the power
	// away, so that nothing of one user's is there for the next; an SE that
	// cannot do so is a [Keeper]. On an SE that is off it does nothing and succeeds. Whatever it
	// returns, the SE is to be taken as off.
	PowerOff(ctx context.Context) error

	// String names the driver and the place, the same at every call:
	// "softse(soft1)", "i2c(/dev/i2c-1, 0x48)".
	String() string
}

// A Keeper is an SE of which PowerOff and PowerOn may leave as they were: which
// applications are selected, which channels are open, which PINs are verified. It
// is a chip whose power and reset nothing reaches, and whose reset by a block of
// its protocol is its interface's alone. Who shares SEs must not give such a one
// from one user to the next.
type Keeper interface {
	SE
	// Keeps tells why, and what would cure it; nil says that power clears the
	// SE after all. It may be called at any time, and does not wait.
	Keeps() error
}

// ResetKind is how an SE is reset.
type ResetKind uint8

const (
	// Cold takes the power away and gives it again (ISO/IEC 7816-3, 6.2.2).
	Cold ResetKind = iota
	// Warm keeps the power (ISO/IEC 7816-3, 6.2.3).
	Warm
)

// String is "cold" or "warm".
func (k ResetKind) String() string {
	if k == Warm {
		return "warm"
	}
	return "cold"
}

// The errors on which a caller decides. A driver wraps them with what it
// knows: which SE, which operation, what to do next.
var (
	// ErrNoCard: nothing is there: no card in the reader, no chip on the bus.
	ErrNoCard = errors.New("no secure element is there")
	// ErrRemoved: it went away while it was powered on.
	ErrRemoved = errors.New("the secure element was removed")
	// ErrPoweredOff: Reset or Transmit on an SE that is off.
	ErrPoweredOff = errors.New("the secure element is powered off")
	// ErrMute: it does not answer.
	ErrMute = errors.New("the secure element does not answer")
	// ErrProtocol: it answers, and what it answers breaks its protocol.
	ErrProtocol = errors.New("the secure element breaks the protocol")
	// ErrOutcomeUnknown goes with one of the others, or a context's error,
	// where a command may have been executed and its answer is lost. Such a
	// command is never repeated behind the user's back.
	ErrOutcomeUnknown = errors.New("the command may have been executed")
)
