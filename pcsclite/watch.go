package pcsclite

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"reflect"
)

// Watch waits until the readers are other than known and returns them; with
// nothing known it returns at once where there is a reader. It may be ended by
// its context, after which the Client is as good as before, and by
// [Client.Cancel].
func (c *Client) Watch(ctx context.Context, known []ReaderState) ([]ReaderState, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		b := make([]byte, MaxReaders*stateSize)
		// The registration itself is answered at once, so it is not cut short.
		if err := c.exchange(context.WithoutCancel(ctx), cmdWait, nil, nil, b); err != nil {
			return nil, err
		}
		states, err := c.parseStates(b)
		if err != nil {
			return nil, err
		}
		if !same(states, known) {
			return states, c.stopWaiting(context.WithoutCancel(ctx))
		}
		if err := c.await(ctx); err != nil {
			return nil, err
		}
	}
}

// await reads the answer to a wait, or ends the wait with ctx.
func (c *Client) await(ctx context.Context) error {
	var m waitBody
	b := make([]byte, binary.Size(m))
	c.arm(ctx)
	n, err := c.in.fill(c.conn, b)
	switch {
	case n == 0 && errors.Is(err, os.ErrDeadlineExceeded):
		if err := c.stopWaiting(context.WithoutCancel(ctx)); err != nil {
			return err
		}
		return context.Cause(ctx)
	case err != nil:
		return c.cut(ctx, err)
	}
	return errors.Join(decode(b, &m), asError(m.RV))
}

// stopWaiting ends the wait. Its one answer may be the change that came first,
// or a cancel.
func (c *Client) stopWaiting(ctx context.Context) error {
	var m waitBody
	b := make([]byte, binary.Size(m))
	if err := c.exchange(ctx, cmdStopWait, nil, nil, b); err != nil {
		return err
	}
	return errors.Join(decode(b, &m), asError(m.RV))
}

func same(a, b []ReaderState) bool {
	return len(a) == 0 && len(b) == 0 || reflect.DeepEqual(a, b)
}
