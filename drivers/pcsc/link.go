//go:build pcsc

package pcsc

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ebfe/scard"

	"github.com/cloud-of-se/tses/drivers"
)

const (
	// settleTime is how long a card that failed is watched for its removal:
	// pcscd asks most readers twice in a second whether a card is there.
	settleTime = 1200 * time.Millisecond
	settleStep = 50 * time.Millisecond
)

// link is one exclusive connection to a card, on a context of its own:
// libpcsclite lets the calls of one context wait for each other.
type link struct {
	reader string
	gone   chan struct{} // closed when the card is given back

	// turn holds a token while a call is under way; it guards what follows.
	turn chan struct{}
	ctx  *scard.Context
	card *scard.Card
}

func newLink(reader string) *link {
	return &link{reader: reader, gone: make(chan struct{}), turn: make(chan struct{}, 1)}
}

// answer is what a call of libpcsclite gave.
type answer struct {
	data []byte
	err  error
}

// errLeft says that a call was begun and still runs.
var errLeft = errors.New("the call to the reader has not returned")

// errNothing is a response without a single byte.
var errNothing = fmt.Errorf("%w: an empty answer", drivers.ErrProtocol)

// do makes one call in a goroutine of its own. When ctx is done first, the
// call is left to itself and the error matches errLeft and that of the context;
// without errLeft the call was not begun.
func (l *link) do(ctx context.Context, call func() ([]byte, error)) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case l.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("the call before it has not returned: %w", ctx.Err())
	}
	done := make(chan answer, 1)
	go func() {
		data, err := call()
		<-l.turn
		done <- answer{data, err}
	}()
	select {
	case a := <-done:
		return a.data, a.err
	case <-ctx.Done():
	}
	select {
	case a := <-done: // both at a time: an answer is not thrown away
		return a.data, a.err
	default:
		return nil, fmt.Errorf("%w: %w", errLeft, ctx.Err())
	}
}

// connect takes the card for exclusive use and gives it a cold reset: another
// program may have left it powered. It returns the answer to reset. pcscd tries
// again to power a card that was mute, because it was left without power.
func (l *link) connect() ([]byte, error) {
	ctx, err := scard.EstablishContext()
	if err != nil {
		return nil, err
	}
	l.ctx = ctx
	l.card, err = ctx.Connect(l.reader, scard.ShareExclusive, scard.ProtocolAny)
	if err != nil {
		return nil, err
	}
	return l.power(scard.UnpowerCard)
}

// reset fails on a card that is not the one that was connected:
// SCardReconnect would take whatever is in the reader by now.
func (l *link) reset(kind drivers.ResetKind) ([]byte, error) {
	if _, err := l.card.Status(); err != nil {
		return nil, err
	}
	if kind == drivers.Warm {
		return l.power(scard.ResetCard)
	}
	return l.power(scard.UnpowerCard)
}

// power resets the card and returns its answer.
func (l *link) power(how scard.Disposition) ([]byte, error) {
	if err := l.card.Reconnect(scard.ShareExclusive, scard.ProtocolAny, how); err != nil {
		return nil, err
	}
	if p := l.card.ActiveProtocol(); p != scard.ProtocolT0 && p != scard.ProtocolT1 {
		return nil, fmt.Errorf("%w: the reader chose neither T=0 nor T=1 (%d)", drivers.ErrProtocol, p)
	}
	// The reader is asked for the answer to reset; libpcsclite's own copy is
	// shared by all threads, and may be a moment old.
	if atr, err := l.card.GetAttrib(scard.AttrAtrString); err == nil && len(atr) > 0 {
		return atr, nil
	}
	status, err := l.card.Status()
	if err != nil {
		return nil, err
	}
	return status.Atr, nil
}

// transmit sends a command; it must be this link's own. No TPDU is sent when
// ctx is done.
func (l *link) transmit(ctx context.Context, command []byte) ([]byte, error) {
	if l.card.ActiveProtocol() != scard.ProtocolT0 {
		return l.send(command)
	}
	return sendT0(command, func(tpdu []byte) ([]byte, error) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		return l.send(tpdu)
	})
}

// send sends an APDU on T=1, a TPDU on T=0.
func (l *link) send(command []byte) ([]byte, error) {
	response, err := l.card.Transmit(command)
	switch {
	case err == nil && len(response) > 0:
		return response, nil
	case err == nil: // some drivers of readers say so that the card is gone
		err = errNothing
	}
	if notSent(err) {
		return nil, explain(err, drivers.ErrRemoved)
	}
	if l.pulled(err) {
		return nil, fmt.Errorf("%w: %w: %w", drivers.ErrRemoved, drivers.ErrOutcomeUnknown, err)
	}
	return nil, fmt.Errorf("%w: %w", drivers.ErrOutcomeUnknown, explain(err, drivers.ErrRemoved))
}

// pulled tells whether a command failed because the card is not there any
// more. pcscd notices that by and by.
func (l *link) pulled(err error) bool {
	if meaningOf(err) == gone {
		return true
	}
	for end := time.Now().Add(settleTime); time.Now().Before(end); time.Sleep(settleStep) {
		status, err := l.card.Status()
		if meaningOf(err) == gone || err == nil && status.State&scard.Absent != 0 {
			return true
		}
	}
	return false
}

// close gives the card back without power, when the call that is under way has
// returned. It is called once.
func (l *link) close() error {
	l.turn <- struct{}{}
	defer close(l.gone)
	var errs []error
	if l.card != nil {
		if err := l.card.Disconnect(scard.UnpowerCard); meaningOf(err) != gone {
			errs = append(errs, explain(err, drivers.ErrRemoved))
		}
	}
	if l.ctx != nil {
		if err := l.ctx.Release(); meaningOf(err) != gone {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...) // the turn is not given back: nothing follows
}
