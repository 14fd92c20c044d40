package driverstest

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/cloud-of-se/tses/drivers"
)

func (c *conformance) cancelledBefore() {
	c.on()
	before := c.executed()
	ctx, cancel := context.WithCancel(c.t.Context())
	cancel()
	c.within(ctx, "Transmit", func() error {
		_, err := c.se.Transmit(ctx, c.probe.Exchanges[0].Command)
		if errors.Is(err, drivers.ErrOutcomeUnknown) {
			c.t.Errorf("Transmit with a context that is done: %v: nothing may be executed", err)
		}
		return err
	})
	for _, kind := range []drivers.ResetKind{drivers.Cold, drivers.Warm} {
		c.within(ctx, kind.String()+" Reset", func() error {
			_, err := c.se.Reset(ctx, kind)
			return err
		})
	}
	c.within(ctx, "PowerOn", func() error {
		_, err := c.se.PowerOn(ctx)
		return err
	})
	if n := c.executed() - before; n != 0 {
		c.t.Errorf("%d commands were executed", n)
	}
	c.usable()
	c.offEvenIfCancelled(ctx)
}

// offEvenIfCancelled: PowerOff may return the context's error, and the SE is
// off all the same.
func (c *conformance) offEvenIfCancelled(done context.Context) {
	if err := c.se.PowerOff(done); err != nil && !errors.Is(err, done.Err()) {
		c.t.Errorf("PowerOff with a context that is done: %v", err)
	}
	if _, err := c.se.Transmit(c.t.Context(), c.probe.Exchanges[0].Command); !errors.Is(err, drivers.ErrPoweredOff) {
		c.t.Errorf("Transmit after PowerOff with a context that is done: %v, want %v", err, drivers.ErrPoweredOff)
	}
	c.usable()
}

func (c *conformance) cancelledDuring() {
	if c.probe.Slow == nil {
		c.t.Skip("the SE offers no slow command")
	}
	for _, how := range []struct {
		name string
		ctx  func() (context.Context, context.CancelFunc)
	}{
		{"deadline", func() (context.Context, context.CancelFunc) {
			return context.WithTimeout(c.t.Context(), c.probe.SlowTime/10)
		}},
		{"cancel", func() (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(c.t.Context())
			timer := time.AfterFunc(c.probe.SlowTime/10, cancel)
			return ctx, func() { timer.Stop(); cancel() }
		}},
	} {
		c.on()
		ctx, cancel := how.ctx()
		c.within(ctx, how.name, func() error {
			_, err := c.se.Transmit(ctx, slices.Clone(c.probe.Slow))
			if err != nil && !errors.Is(err, drivers.ErrOutcomeUnknown) {
				c.t.Errorf("%s: %v: it does not match %q", how.name, err, drivers.ErrOutcomeUnknown)
			}
			return err
		})
		cancel()
		c.usable()
	}
}

// commandUntouched: the driver neither writes to the command nor to what lies
// behind it in the caller's array, and does not look at it after the call.
func (c *conformance) commandUntouched() {
	c.on()
	for _, x := range c.probe.Exchanges {
		guarded := append(slices.Clone(x.Command), 0xA5, 0x5A, 0xA5, 0x5A)
		kept := slices.Clone(guarded)
		command := guarded[:len(x.Command)] // with room behind it, on purpose
		got, err := c.se.Transmit(c.t.Context(), command)
		if err != nil {
			c.t.Fatalf("%s: Transmit: %v", x.Name, err)
		}
		if !slices.Equal(guarded, kept) {
			c.t.Errorf("%s: the driver wrote to the command: %X, was %X", x.Name, guarded, kept)
		}
		for i := range guarded {
			guarded[i] = 0xEE
		}
		if !x.fits(got) {
			c.t.Errorf("%s: the answer aliases the command", x.Name)
		}
	}
	for _, x := range c.probe.Exchanges {
		c.exchange(x)
	}
}

// answersKept: no later call writes over an answer that was returned, and the
// caller may write to it.
func (c *conformance) answersKept() {
	c.on()
	var answers, kept [][]byte
	for range 2 {
		for _, x := range c.probe.Exchanges {
			got := c.exchange(x)
			answers, kept = append(answers, got), append(kept, slices.Clone(got))
		}
	}
	for i := range answers {
		if !slices.Equal(answers[i], kept[i]) {
			c.t.Errorf("answer %d became %.80X, was %.80X", i, answers[i], kept[i])
		}
	}
	for _, answer := range answers {
		for i := range answer {
			answer[i] = 0xEE
		}
	}
	for _, x := range c.probe.Exchanges {
		c.exchange(x)
	}
	c.usable()
}
