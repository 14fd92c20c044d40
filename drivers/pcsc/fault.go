package pcsc

import (
	"context"
	"errors"
	"fmt"

	"github.com/cloud-of-se/tses/drivers"
	"github.com/cloud-of-se/tses/pcsclite"
)

// errInUse says that another program of the host has the card.
var errInUse = errors.New("another program on this host uses the card; end it, or keep it away from this reader")

// what an error of the resource manager means for an SE.
type meaning uint8

const (
	other  meaning = iota
	gone           // no card, no reader or no pcscd
	mute           // a card that does not answer
	broken         // a card, or a reader, that breaks the protocol
	taken          // by another program
)

func meaningOf(err error) meaning {
	var code pcsclite.Code
	if !errors.As(err, &code) {
		return other
	}
	switch code {
	case pcsclite.ENoSmartcard, pcsclite.WRemovedCard, pcsclite.WResetCard,
		pcsclite.EUnknownReader, pcsclite.EReaderUnavailable, pcsclite.ENoReaders,
		pcsclite.ENoService, pcsclite.EServiceStopped, pcsclite.PShutdown, pcsclite.FCommError, pcsclite.EInvalidHandle:
		return gone
	case pcsclite.WUnresponsiveCard, pcsclite.WUnpoweredCard, pcsclite.ETimeout:
		return mute
	case pcsclite.ENotTransacted, pcsclite.EInsufficientBuf, pcsclite.EProtoMismatch,
		pcsclite.EInvalidATR, pcsclite.WUnsupportedCard, pcsclite.ECardUnsupported:
		return broken
	case pcsclite.ESharingViolation:
		return taken
	}
	return other
}

// noService tells the errors of a pcscd that is not there, or not any more.
func noService(err error) bool {
	var code pcsclite.Code
	if !errors.As(err, &code) {
		return false
	}
	switch code {
	case pcsclite.ENoService, pcsclite.EServiceStopped, pcsclite.PShutdown, pcsclite.FCommError:
		return true
	}
	return false
}

// explain adds to an error of the resource manager what a caller decides on. absent is
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
	var code pcsclite.Code
	if !errors.As(err, &code) {
		return false
	}
	switch code {
	case pcsclite.WRemovedCard, pcsclite.WResetCard, pcsclite.ESharingViolation, pcsclite.EInvalidHandle, pcsclite.EInvalidParameter:
		return true
	}
	return false
}
