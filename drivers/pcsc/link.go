package pcsc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/cloud-of-se/tses/drivers"
	"github.com/cloud-of-se/tses/pcsclite"
)

const (
	// settleTime is how long a card that failed is watched for its removal:
	// pcscd asks most readers twice in a second whether a card is there.
	settleTime = 1200 * time.Millisecond
	settleStep = 50 * time.Millisecond
)

// link is one exclusive connection to a card, on a context of its own: the calls
// of one context wait for each other.
type link struct {
	reader string
	gone   chan struct{} // closed when the card is given back

	// turn holds a token while a call is under way; it guards what follows.
	turn    chan struct{}
	manager manager
	card    connection
}

func newLink(reader string) *link {
	return &link{reader: reader, gone: make(chan struct{}), turn: make(chan struct{}, 1)}
}

// errNothing is a response without a single byte.
var errNothing = fmt.Errorf("%w: an empty answer", drivers.ErrProtocol)

// do makes one call. When ctx is done first, the call is left to itself and the
// error matches [pcsclite.ErrUnsettled] and that of the context; without
// ErrUnsettled the call was not begun.
func (l *link) do(ctx context.Context, call func(ctx context.Context) ([]byte, error)) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case l.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("the call before it has not returned: %w", ctx.Err())
	}
	data, err := call(ctx)
	if l.manager != nil && l.manager.owes() {
		go func() { // ends with the call, or with pcscd; close waits for it
			l.manager.settle()
			<-l.turn
		}()
		return nil, err
	}
	<-l.turn
	return data, err
}

// connect takes the card for exclusive use and gives it a cold reset: another
// program may have left it powered. It returns the answer to reset. pcscd tries
// again to power a card that was mute, because it was left without power.
func (l *link) connect(ctx context.Context) (atr []byte, err error) {
	if l.manager, err = establish(ctx); err != nil {
		l.manager = nil
		return nil, err
	}
	card, err := l.manager.connect(ctx, l.reader)
	if err != nil {
		return nil, err
	}
	l.card = card
	return l.power(ctx, pcsclite.Unpower)
}

// reset fails on a card that is not the one that was connected: the resource
// manager would take whatever is in the reader by now.
func (l *link) reset(ctx context.Context, kind drivers.ResetKind) ([]byte, error) {
	if l.card == nil {
		return nil, drivers.ErrPoweredOff
	}
	if err := l.card.status(ctx); err != nil {
		return nil, err
	}
	if kind == drivers.Warm {
		return l.power(ctx, pcsclite.Reset)
	}
	return l.power(ctx, pcsclite.Unpower)
}

// power resets the card and returns its answer.
func (l *link) power(ctx context.Context, how pcsclite.Disposition) ([]byte, error) {
	if err := l.card.reset(ctx, how); err != nil {
		return nil, err
	}
	if p := l.card.protocol(); p != pcsclite.T0 && p != pcsclite.T1 {
		return nil, fmt.Errorf("%w: the reader chose neither T=0 nor T=1 (%d)", drivers.ErrProtocol, p)
	}
	return l.card.atr(ctx)
}

// transmit sends a command. No TPDU is sent when ctx is done.
func (l *link) transmit(ctx context.Context, command []byte) ([]byte, error) {
	if l.card == nil {
		return nil, drivers.ErrPoweredOff
	}
	if l.card.protocol() != pcsclite.T0 {
		return l.send(ctx, command)
	}
	return sendT0(command, func(tpdu []byte) ([]byte, error) { return l.send(ctx, tpdu) })
}

// send sends an APDU on T=1, a TPDU on T=0.
func (l *link) send(ctx context.Context, command []byte) ([]byte, error) {
	response, err := l.card.transmit(ctx, command)
	switch {
	case err == nil && len(response) > 0:
		return response, nil
	case err == nil: // some drivers of readers say so that the card is gone
		err = errNothing
	case errors.Is(err, pcsclite.ErrUnsettled):
		return nil, fmt.Errorf("%w: %w", drivers.ErrOutcomeUnknown, err)
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
		return nil, err // it was not sent
	}
	if notSent(err) {
		return nil, explain(err, drivers.ErrRemoved)
	}
	if l.pulled(ctx, err) {
		return nil, fmt.Errorf("%w: %w: %w", drivers.ErrRemoved, drivers.ErrOutcomeUnknown, err)
	}
	return nil, fmt.Errorf("%w: %w", drivers.ErrOutcomeUnknown, explain(err, drivers.ErrRemoved))
}

// pulled tells whether a command failed because the card is not there any
// more. pcscd notices that by and by.
func (l *link) pulled(ctx context.Context, err error) bool {
	if meaningOf(err) == gone {
		return true
	}
	for end := time.Now().Add(settleTime); time.Now().Before(end) && ctx.Err() == nil; pause(ctx, settleStep) {
		if meaningOf(l.card.status(ctx)) == gone {
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
		if err := l.card.disconnect(context.Background()); meaningOf(err) != gone {
			errs = append(errs, explain(err, drivers.ErrRemoved))
		}
	}
	if l.manager != nil {
		if err := l.manager.close(); meaningOf(err) != gone && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...) // the turn is not given back: nothing follows
}
