//go:build scard || windows || (darwin && cgo)

package pcsc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ebfe/scard"

	"github.com/cloud-of-se/tses/pcsclite"
)

const (
	// notification is the name of the reader that stands for the list of readers.
	notification = `\\?PnP?\Notification`

	// shortly keeps a list of readers that is out of date for long from being
	// read without a pause.
	shortly = 50 * time.Millisecond
)

// library is the binding to the C library of the host. Its calls take no context,
// and most block: each is made in a goroutine, which is left to itself when the
// context is done.
type library struct {
	ctx    *scard.Context
	states []scard.ReaderState // what the last look has shown; nil: there was none
	seen   []reader
	left   <-chan struct{} // closed when the call that was cut short returns
}

func establish(ctx context.Context) (manager, error) {
	l := new(library)
	err := l.do(ctx, func() (err error) {
		l.ctx, err = scard.EstablishContext()
		return err
	})
	if err != nil {
		if l.owes() {
			go func() {
				l.settle()
				_ = l.close() // nobody waits for it
			}()
		}
		return nil, err
	}
	return l, nil
}

// do makes one call.
func (l *library) do(ctx context.Context, call func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	returned := make(chan struct{})
	var err error
	go func() {
		defer close(returned)
		err = call()
	}()
	select {
	case <-returned:
		return coded(err)
	case <-ctx.Done():
	}
	select {
	case <-returned: // both at a time: an answer is not thrown away
		return coded(err)
	default:
		l.left = returned
		return fmt.Errorf("%w: %w", pcsclite.ErrUnsettled, ctx.Err())
	}
}

// coded makes a [pcsclite.Code] of an error of the library: the numbers are the
// same.
func coded(err error) error {
	if code := scard.Error(0); errors.As(err, &code) {
		return pcsclite.Code(code)
	}
	return err
}

func (l *library) owes() bool { return l.left != nil }

func (l *library) settle() {
	<-l.left
	l.left = nil
}

func (l *library) close() error {
	if l.ctx == nil {
		return nil
	}
	return coded(l.ctx.Release())
}

func (l *library) look(ctx context.Context) ([]reader, error) {
	if l.states != nil {
		if err := l.await(ctx); err != nil {
			return nil, err
		}
	}
	for ctx.Err() == nil {
		states, err := l.look1()
		if errors.Is(err, scard.ErrUnknownReader) { // unplugged since it was listed
			pause(ctx, shortly)
			continue
		}
		if err != nil {
			return nil, coded(err)
		}
		l.states = states
		l.seen = remember(readersOf(states), l.seen)
		return l.seen, nil
	}
	return nil, ctx.Err()
}

// look1 asks for the state of each reader as it is.
func (l *library) look1() ([]scard.ReaderState, error) {
	names, err := l.ctx.ListReaders()
	if err != nil && !errors.Is(err, scard.ErrNoReadersAvailable) {
		return nil, err
	}
	states := make([]scard.ReaderState, 0, len(names))
	for _, name := range names[:min(len(names), maxStates)] {
		states = append(states, scard.ReaderState{Reader: name, CurrentState: scard.StateUnaware})
	}
	if len(states) == 0 {
		return states, nil // the binding cannot ask for nothing
	}
	return states, l.ctx.GetStatusChange(states, 0)
}

// await returns when something may have changed. What comes between two waits
// raises no event.
func (l *library) await(ctx context.Context) error {
	states := make([]scard.ReaderState, 0, maxStates)
	for _, s := range l.states {
		if len(states) < maxStates {
			states = append(states, scard.ReaderState{Reader: s.Reader, CurrentState: s.EventState &^ scard.StateChanged})
		}
	}
	if len(states) < maxStates {
		states = append(states, scard.ReaderState{Reader: notification})
	}
	defer l.wake(ctx)()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	err := l.ctx.GetStatusChange(states, lookTime)
	switch {
	case errors.Is(err, scard.ErrUnknownReader): // unplugged since it was looked at
		pause(ctx, shortly)
		return nil
	case errors.Is(err, scard.ErrTimeout), errors.Is(err, scard.ErrCancelled):
		return nil
	}
	return coded(err)
}

// wake cancels the wait when ctx is done, until the function that it returns is
// called. A cancel between two calls is lost, hence the repetition.
func (l *library) wake(ctx context.Context) (awake func()) {
	woken, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case <-ctx.Done():
		case <-woken:
			return
		}
		again := time.NewTicker(20 * time.Millisecond)
		defer again.Stop()
		for {
			// Its error says that nothing waits: the next round sees to it.
			_ = l.ctx.Cancel()
			select {
			case <-woken:
				return
			case <-again.C:
			}
		}
	}()
	return func() {
		close(woken)
		<-ended
	}
}

// readersOf reads the states of those readers that can be reached. The upper half
// of a state counts the cards that came and went.
func readersOf(states []scard.ReaderState) []reader {
	seen := make([]reader, 0, len(states))
	for _, s := range states {
		if s.EventState&(scard.StateUnknown|scard.StateUnavailable) != 0 {
			continue
		}
		r := reader{name: s.Reader, card: s.EventState&scard.StatePresent != 0, events: uint32(s.EventState) >> 16}
		if r.card {
			r.atr = s.Atr
		}
		seen = append(seen, r)
	}
	return seen
}

func (l *library) connect(ctx context.Context, name string) (connection, error) {
	c := &borrowed{library: l}
	err := l.do(ctx, func() (err error) {
		c.card, err = l.ctx.Connect(name, scard.ShareExclusive, scard.ProtocolAny)
		return err
	})
	if err != nil {
		return nil, err
	}
	return c, nil
}

// borrowed is a connection to a card.
type borrowed struct {
	*library
	card *scard.Card
}

func (c *borrowed) reset(ctx context.Context, how pcsclite.Disposition) error {
	return c.do(ctx, func() error {
		return c.card.Reconnect(scard.ShareExclusive, scard.ProtocolAny, scard.Disposition(how))
	})
}

func (c *borrowed) protocol() pcsclite.Protocol { return pcsclite.Protocol(c.card.ActiveProtocol()) }

// atr asks the reader; the library's own copy is shared by all threads, and may be
// a moment old.
func (c *borrowed) atr(ctx context.Context) ([]byte, error) {
	return c.ask(ctx, func() ([]byte, error) {
		atr, err := c.card.GetAttrib(scard.AttrAtrString)
		if err == nil && len(atr) > 0 {
			return atr, nil
		}
		status, err := c.card.Status()
		if err != nil {
			return nil, err
		}
		return status.Atr, nil
	})
}

// ask is do with an answer.
func (c *borrowed) ask(ctx context.Context, call func() ([]byte, error)) ([]byte, error) {
	answered := make(chan []byte, 1)
	err := c.do(ctx, func() error {
		answer, err := call()
		answered <- answer
		return err
	})
	if err != nil {
		return nil, err
	}
	return <-answered, nil
}

func (c *borrowed) status(ctx context.Context) error {
	return c.do(ctx, func() error {
		status, err := c.card.Status()
		if err == nil && status.State&scard.Absent != 0 {
			return scard.ErrRemovedCard
		}
		return err
	})
}

func (c *borrowed) transmit(ctx context.Context, command []byte) ([]byte, error) {
	own := slices.Clone(command) // the call may outlive the context
	return c.ask(ctx, func() ([]byte, error) { return c.card.Transmit(own) })
}

func (c *borrowed) disconnect(ctx context.Context) error {
	return c.do(ctx, func() error { return c.card.Disconnect(scard.UnpowerCard) })
}
