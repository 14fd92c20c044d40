package pcsc

import (
	"context"
	"fmt"
	"slices"

	"github.com/cloud-of-se/tses/drivers"
	"github.com/cloud-of-se/tses/pcsclite"
)

// Card is the SE in a reader. It implements [drivers.SE]; how, the package
// comment says.
type Card struct {
	host *Host
	name string

	// where is the name of the reader that the card is in now.
	where func() (reader string, err error)

	on   *link
	left *link // the one before, until its card is given back
}

var _ drivers.SE = (*Card)(nil)

// String is "pcsc(ACS ACR39U 00 00)", or, for an SE of the configuration,
// `pcsc(reader "ACS*")`.
func (c *Card) String() string { return "pcsc(" + c.name + ")" }

// PowerOn implements [drivers.SE]. A card that another program has is an error
// that says so.
func (c *Card) PowerOn(ctx context.Context) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, c.fail("power on", err)
	}
	reader, err := c.where()
	if err != nil {
		return nil, c.fail("power on", err)
	}
	if c.on != nil && c.on.reader == reader {
		atr, err := c.on.do(ctx, func(ctx context.Context) ([]byte, error) { return c.on.reset(ctx, drivers.Cold) })
		if err == nil {
			return slices.Clone(atr), nil
		}
	}
	atr, err := c.connect(ctx, reader)
	if err != nil {
		c.hangUp()
		return nil, c.fail("power on", explain(err, drivers.ErrNoCard))
	}
	return atr, nil
}

// connect makes a new link, when the old one has ended.
func (c *Card) connect(ctx context.Context, reader string) ([]byte, error) {
	c.hangUp()
	if c.left != nil {
		select {
		case <-c.left.gone:
			c.left = nil
		case <-ctx.Done():
			return nil, fmt.Errorf("the last call to %q has not returned; if it does not, plug the reader anew: %w", c.left.reader, ctx.Err())
		}
	}
	c.on = newLink(reader)
	return c.on.do(ctx, c.on.connect)
}

// Reset implements [drivers.SE].
func (c *Card) Reset(ctx context.Context, kind drivers.ResetKind) ([]byte, error) {
	l := c.on
	if l == nil {
		return nil, c.fail(kind.String()+" reset", drivers.ErrPoweredOff)
	}
	atr, err := l.do(ctx, func(ctx context.Context) ([]byte, error) { return l.reset(ctx, kind) })
	if err != nil {
		return nil, c.fail(kind.String()+" reset", explain(err, drivers.ErrRemoved))
	}
	return atr, nil
}

// Transmit implements [drivers.SE].
func (c *Card) Transmit(ctx context.Context, command []byte) ([]byte, error) {
	l := c.on
	if l == nil {
		return nil, c.fail("transmit", drivers.ErrPoweredOff)
	}
	response, err := l.do(ctx, func(ctx context.Context) ([]byte, error) { return l.transmit(ctx, command) })
	if err != nil {
		return nil, c.fail("transmit", err)
	}
	return response, nil
}

// PowerOff implements [drivers.SE].
func (c *Card) PowerOff(ctx context.Context) error {
	done := c.hangUp()
	if done == nil {
		return nil
	}
	select {
	case err := <-done:
		if err != nil {
			return c.fail("power off", err)
		}
		return nil
	case <-ctx.Done():
		return c.fail("power off", fmt.Errorf("%w: %w", pcsclite.ErrUnsettled, ctx.Err()))
	}
}

// hangUp ends the link, if there is one, in a goroutine of the host: a call
// that is under way comes first.
func (c *Card) hangUp() <-chan error {
	l := c.on
	if l == nil {
		return nil
	}
	c.on, c.left = nil, l
	done := make(chan error, 1)
	c.host.links.Go(func() { done <- l.close() })
	return done
}

func (c *Card) fail(op string, err error) error { return fmt.Errorf("%s: %s: %w", c, op, err) }
