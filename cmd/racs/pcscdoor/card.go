package pcscdoor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/cloud-of-se/tses/apdu"
	"github.com/cloud-of-se/tses/pcsclite"
	"github.com/cloud-of-se/tses/stp/racs"
)

// card is one SE behind RACS, with a session of its own where it needs one.
type card struct {
	seid string
	dial func(context.Context) (*racs.Client, error)
	log  *slog.Logger
	timing

	mu     sync.Mutex // one call at a time: programs' and the door's own
	client *racs.Client
	on     bool
	used   time.Time

	callMu sync.Mutex
	begun  time.Time          // of the call under way
	cancel context.CancelFunc // nil: there is none
}

// begin notes a call, so that [card.giveUp] can end it. end has to follow.
func (c *card) begin(ctx context.Context) (called context.Context, end func()) {
	ctx, cancel := context.WithCancel(ctx)
	c.callMu.Lock()
	defer c.callMu.Unlock()
	c.begun, c.cancel = time.Now(), cancel
	return ctx, func() {
		c.callMu.Lock()
		defer c.callMu.Unlock()
		cancel()
		c.cancel = nil
	}
}

// giveUp ends a call that has waited since before a time.
func (c *card) giveUp(since time.Time) (was bool) {
	c.callMu.Lock()
	defer c.callMu.Unlock()
	if c.cancel == nil || !c.begun.Before(since) {
		return false
	}
	c.cancel()
	return true
}

var _ pcsclite.Card = (*card)(nil)

// PowerOn implements [pcsclite.Card].
func (c *card) PowerOn(ctx context.Context) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	ctx, end := c.begin(ctx)
	defer end()
	if c.on { // a power-on of an SE that is on would do nothing
		if err := c.shutdown(ctx); err != nil {
			return nil, err
		}
	}
	atr, err := c.powerOn(ctx)
	if err != nil {
		return nil, err
	}
	c.on, c.used = true, time.Now()
	return atr, nil
}

// powerOn takes the session that there is, or a new one. One that was idle may
// have ended unnoticed; the SE was off then, so nothing is lost by another try.
func (c *card) powerOn(ctx context.Context) ([]byte, error) {
	if c.client != nil {
		atr, err := c.client.PowerOn(ctx, c.seid)
		if _, answered := errors.AsType[racs.Status](err); err == nil || answered {
			return atr, c.failed(err)
		}
		c.drop()
	}
	client, err := c.dial(ctx)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", c.seid, err, pcsclite.WRemovedCard)
	}
	c.client = client
	atr, err := c.client.PowerOn(ctx, c.seid)
	return atr, c.failed(err)
}

// Reset implements [pcsclite.Card].
func (c *card) Reset(ctx context.Context) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	ctx, end := c.begin(ctx)
	defer end()
	if !c.on {
		return nil, c.gone()
	}
	atr, err := c.client.Reset(ctx, c.seid, true)
	c.used = time.Now()
	return atr, c.failed(err)
}

// Transmit implements [pcsclite.Card].
func (c *card) Transmit(ctx context.Context, command []byte) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	ctx, end := c.begin(ctx)
	defer end()
	if !c.on {
		return nil, c.gone()
	}
	if _, err := apdu.Parse(command); err != nil {
		return nil, fmt.Errorf("%s: %w: %w", c.seid, err, pcsclite.EInvalidParameter)
	}
	response, err := c.client.TransmitRaw(ctx, c.seid, command)
	c.used = time.Now()
	if status, answered := errors.AsType[racs.Status](err); answered && status.Class == racs.Unauthorized {
		c.log.Info("the TSES refused a command; the program is told 6982", "seid", c.seid, "reason", status.Text)
		return slices.Clone(securityNotSatisfied), nil
	}
	return response, c.failed(err)
}

// securityNotSatisfied is what a program is told of a command that the TSES's
// rules keep from the SE (ISO/IEC 7816-4, 5.6: 6982). Programs try commands to
// find out what a card can do; a failure of the reader would end them, this
// status is an answer.
var securityNotSatisfied = []byte{0x69, 0x82}

// PowerOff implements [pcsclite.Card]. The session stays for a while: the next
// program is then served without another handshake.
func (c *card) PowerOff(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.on {
		return nil
	}
	c.used = time.Now()
	return c.shutdown(ctx)
}

func (c *card) shutdown(ctx context.Context) error {
	err := c.client.Shutdown(ctx, c.seid)
	c.on = false
	if err != nil { // the end of the session powers it off for certain
		c.drop()
		return fmt.Errorf("%s: %w: %w", c.seid, err, pcsclite.WRemovedCard)
	}
	return nil
}

// gone is the error of a card whose session has ended.
func (c *card) gone() error {
	return fmt.Errorf("%s: its session has ended: %w", c.seid, pcsclite.WRemovedCard)
}

// drop ends the session.
func (c *card) drop() {
	if c.client != nil {
		_ = c.client.Close() // it is of no more use, however it ends
	}
	c.client, c.on = nil, false
}

// failed gives an error of RACS the code that tells a program what to do. What
// the server answered leaves the session as it was; without an answer nobody
// knows what state the SE is in, so the session ends and the SE with it.
func (c *card) failed(err error) error {
	if err == nil {
		return nil
	}
	status, answered := errors.AsType[racs.Status](err)
	code := pcsclite.WRemovedCard
	if answered {
		code = codeOf(status)
	}
	if code == pcsclite.WRemovedCard {
		c.drop()
	}
	return fmt.Errorf("%w: %w", err, code)
}

// codeOf is what PC/SC calls an error of the server.
func codeOf(s racs.Status) pcsclite.Code {
	switch s.Class {
	case racs.InUse:
		return pcsclite.ESharingViolation
	case racs.Unauthorized:
		return pcsclite.WSecurityViolation
	case racs.SyntaxError:
		return pcsclite.EInvalidParameter
	case racs.HardwareError:
		if s.Verb == racs.PowerOn {
			return pcsclite.WUnresponsiveCard
		}
	}
	return pcsclite.WRemovedCard
}

// ping keeps the session alive, or ends one that is not needed any more. It
// fails where the SE was on and its session is lost. A card that is busy needs
// no ping.
func (c *card) ping(ctx context.Context) error {
	if !c.mu.TryLock() {
		return nil
	}
	defer c.mu.Unlock()
	switch {
	case c.client == nil:
		return nil
	case !c.on && time.Since(c.used) > c.keepIdle:
		c.drop()
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, c.bound)
	defer cancel()
	_, err := c.client.Version(ctx)
	if _, answered := errors.AsType[racs.Status](err); err == nil || answered {
		return nil
	}
	lost := c.on
	c.drop()
	if !lost {
		return nil
	}
	return fmt.Errorf("%s: %w", c.seid, err)
}

// close ends the session.
func (c *card) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop()
}
