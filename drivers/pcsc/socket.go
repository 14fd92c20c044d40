//go:build !scard && !windows && !(darwin && cgo)

package pcsc

import (
	"context"
	"errors"

	"github.com/cloud-of-se/tses/pcsclite"
)

// socket is the binding to pcscd's socket.
type socket struct {
	client *pcsclite.Client
	looked bool
	known  []pcsclite.ReaderState
	seen   []reader
	left   bool // a call was cut short
}

func establish(ctx context.Context) (manager, error) {
	client, err := pcsclite.Dial(ctx, "")
	if err != nil {
		return nil, err
	}
	return &socket{client: client}, nil
}

func (s *socket) look(ctx context.Context) ([]reader, error) {
	// The waits that a watch makes cannot all be cut short: who looks is done with
	// the connection when ctx is.
	defer context.AfterFunc(ctx, func() { _ = s.client.Close() })()
	known, err := s.states(ctx)
	if err != nil {
		return nil, err
	}
	s.looked, s.known = true, known
	s.seen = remember(readersOf(known), s.seen)
	return s.seen, nil
}

func (s *socket) states(ctx context.Context) ([]pcsclite.ReaderState, error) {
	if !s.looked {
		return s.client.Readers(ctx)
	}
	wait, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	states, err := s.client.Watch(wait, s.known)
	if ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
		return s.known, nil
	}
	return states, err
}

// readersOf reads the states of those readers that can be reached.
func readersOf(states []pcsclite.ReaderState) []reader {
	seen := make([]reader, 0, len(states))
	for _, s := range states {
		if s.Status&pcsclite.Unknown != 0 {
			continue
		}
		r := reader{name: s.Name, card: s.Status&pcsclite.Present != 0, events: s.Events}
		if r.card {
			r.atr = s.ATR
		}
		seen = append(seen, r)
	}
	return seen
}

func (s *socket) connect(ctx context.Context, name string) (connection, error) {
	conn, err := s.client.Connect(ctx, name, pcsclite.Exclusive, pcsclite.ProtocolAny)
	if s.note(err) != nil {
		return nil, err
	}
	return &plugged{s, name, conn}, nil
}

// note remembers that a call was cut short.
func (s *socket) note(err error) error {
	s.left = s.left || err != nil && errors.Is(err, pcsclite.ErrUnsettled)
	return err
}

func (s *socket) owes() bool { return s.left }

func (s *socket) settle() {
	// An error is the end of the connection, which the next call tells.
	_ = s.client.Settle(context.Background())
	s.left = false
}

func (s *socket) close() error { return s.client.Close() }

// plugged is a connection to a card in a reader.
type plugged struct {
	*socket
	name string
	conn *pcsclite.Connection
}

func (c *plugged) reset(ctx context.Context, how pcsclite.Disposition) error {
	return c.note(c.conn.Reconnect(ctx, pcsclite.Exclusive, pcsclite.ProtocolAny, how))
}

func (c *plugged) protocol() pcsclite.Protocol { return c.conn.Protocol() }

func (c *plugged) atr(ctx context.Context) ([]byte, error) {
	s, err := c.state(ctx)
	return s.ATR, err
}

func (c *plugged) status(ctx context.Context) error {
	if err := c.conn.Status(ctx); err != nil {
		return c.note(err)
	}
	s, err := c.state(ctx)
	if err == nil && s.Status&pcsclite.Absent != 0 {
		return pcsclite.WRemovedCard
	}
	return err
}

// state is that of the reader.
func (c *plugged) state(ctx context.Context) (pcsclite.ReaderState, error) {
	states, err := c.client.Readers(ctx)
	for _, s := range states {
		if s.Name == c.name {
			return s, nil
		}
	}
	if err == nil {
		err = pcsclite.EReaderUnavailable
	}
	return pcsclite.ReaderState{}, c.note(err)
}

func (c *plugged) transmit(ctx context.Context, command []byte) ([]byte, error) {
	response, err := c.conn.Transmit(ctx, command)
	return response, c.note(err)
}

func (c *plugged) disconnect(ctx context.Context) error {
	return c.note(c.conn.Disconnect(ctx, pcsclite.Unpower))
}
