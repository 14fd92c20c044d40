//go:build pcsc

package pcsc

import (
	"context"
	"errors"
	"fmt"

	"github.com/ebfe/scard"

	"github.com/cloud-of-se/tses/drivers"
)

// errInUse says that another program of the host has the card.
var errInUse = errors.New("another program on this host uses the card; end it, or keep it away from this reader")

// what an error of libpcsclite means for an SE.
type meaning uint8

const (
	other  meaning = iota
	gone           // no card, no reader or no pcscd
	mute           // a card that does not answer
	broken         // a card, or a reader, that breaks the protocol
	taken          // by another program
)

func meaningOf(err error) meaning {
	var code scard.Error
	if !errors.As(err, &code) {
		return other
	}
	switch code {
	case scard.ErrNoSmartcard, scard.ErrRemovedCard, scard.ErrResetCard,
		scard.ErrUnknownReader, scard.ErrReaderUnavailable, scard.ErrNoReadersAvailable,
		scard.ErrNoService, scard.ErrServiceStopped, scard.ErrShutdown, scard.ErrCommError, scard.ErrInvalidHandle:
		return gone
	case scard.ErrUnresponsiveCard, scard.ErrUnpoweredCard, scard.ErrTimeout:
		return mute
	case scard.ErrNotTransacted, scard.ErrInsufficientBuffer, scard.ErrProtoMismatch,
		scard.ErrInvalidAtr, scard.ErrUnsupportedCard, scard.ErrCardUnsupported:
		return broken
	case scard.ErrSharingViolation:
		return taken
	}
	return other
}

// noService tells the errors of a pcscd that is not there, or not any more.
func noService(err error) bool {
	var code scard.Error
	if !errors.As(err, &code) {
		return false
	}
	switch code {
	case scard.ErrNoService, scard.ErrServiceStopped, scard.ErrShutdown, scard.ErrCommError:
		return true
	}
	return false
}

// explain adds to an error of libpcsclite what a caller decides on. absent is
// what a card that is not there is called: [drivers.ErrNoCard] at power on,
// [drivers.ErrRemoved] later.
func explain(err, absent error) error {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	switch meaningOf(err) {
	case gone:
		if noService(err) {
			return fmt.Errorf("%w: pcscd does not answer; the SE is back when it runs: %w", absent, err)
		}
		return fmt.Errorf("%w: %w", absent, err)
	case mute:
		return fmt.Errorf("%w: %w", drivers.ErrMute, err)
	case broken:
		return fmt.Errorf("%w: %w", drivers.ErrProtocol, err)
	case taken:
		return fmt.Errorf("%w: %w", errInUse, err)
	}
	return err
}

// notSent tells the errors of SCardTransmit that pcscd finds before the reader
// gets the command.
func notSent(err error) bool {
	var code scard.Error
	if !errors.As(err, &code) {
		return false
	}
	switch code {
	case scard.ErrRemovedCard, scard.ErrResetCard, scard.ErrSharingViolation, scard.ErrInvalidHandle, scard.ErrInvalidParameter:
		return true
	}
	return false
}
