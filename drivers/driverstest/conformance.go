package driverstest

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloud-of-se/tses/apdu"
	"github.com/cloud-of-se/tses/drivers"
)

// Probe tells [Conformance] what the SE behind a driver can be asked.
type Probe struct {
	// Exchanges are commands with their answers, in an order that works after
	// a power on and leaves the SE ready for a second run. There should be
	// one of every case that the SE takes, short and extended (ISO/IEC
	// 7816-4, 5.1). At least two are needed, with unlike answers.
	Exchanges []Exchange

	// Slow is a command that takes the SE SlowTime or more; nil if it has
	// none.
	Slow     []byte
	SlowTime time.Duration

	// Bound is how soon a call must return after its context is done; 0 is
	// one second. It must be well under SlowTime.
	Bound time.Duration

	// Executed, where the test can tell it, counts the commands that reached
	// the SE which open gave last.
	Executed func() int64

	// Bubble runs each part in a bubble of testing/synctest, for drivers whose
	// SE is all software in this process: slow commands take no time. open is
	// called inside of it.
	Bubble bool

	// NoParse says that the answer to reset is not of ISO/IEC 7816-3, as with
	// chips that give one of their own form.
	NoParse bool

	// ATR is the answer to reset; nil is any.
	ATR []byte
}

// Exchange is a command with the answer that the SE must give.
type Exchange struct {
	Name    string
	Command []byte

	// Want is the response with its status word; Match, where it is set,
	// judges instead.
	Want  []byte
	Match func(response []byte) bool
}

func (x Exchange) fits(response []byte) bool {
	if x.Match != nil {
		return x.Match(response)
	}
	return slices.Equal(response, x.Want)
}

// Conformance holds a driver to the contract of [drivers.SE]. open gives an SE
// that is off and that nobody else uses; it is called for each subtest and
// arranges by t.Cleanup what must be closed.
func Conformance(t *testing.T, open func(t *testing.T) drivers.SE, probe Probe) {
	if len(probe.Exchanges) < 2 {
		t.Fatal("the probe needs two exchanges or more")
	}
	if probe.Bound == 0 {
		probe.Bound = time.Second
	}
	for _, part := range []struct {
		name string
		run  func(c *conformance)
	}{
		{"name is stable", (*conformance).stableName},
		{"power on answers", (*conformance).powerOn},
		{"power on twice is a cold reset", (*conformance).powerOnTwice},
		{"off", (*conformance).off},
		{"power off twice", (*conformance).powerOffTwice},
		{"exchanges", (*conformance).exchanges},
		{"reset", (*conformance).reset},
		{"cancelled before", (*conformance).cancelledBefore},
		{"cancelled during", (*conformance).cancelledDuring},
		{"command stays the caller's", (*conformance).commandUntouched},
		{"answers are the caller's", (*conformance).answersKept},
	} {
		t.Run(part.name, func(t *testing.T) {
			run := func(t *testing.T) { part.run(&conformance{t: t, se: open(t), probe: probe}) }
			if probe.Bubble {
				synctest.Test(t, run)
				return
			}
			run(t)
		})
	}
}

// conformance is one subtest.
type conformance struct {
	t     *testing.T
	se    drivers.SE
	probe Probe
}

func (c *conformance) on() {
	c.t.Helper()
	if _, err := c.se.PowerOn(c.t.Context()); err != nil {
		c.t.Fatalf("PowerOn: %v", err)
	}
}

// exchange sends one exchange and judges its answer.
func (c *conformance) exchange(x Exchange) []byte {
	c.t.Helper()
	got, err := c.se.Transmit(c.t.Context(), slices.Clone(x.Command))
	if err != nil {
		c.t.Fatalf("%s: Transmit: %v", x.Name, err)
	}
	if !x.fits(got) {
		c.t.Fatalf("%s: got %.80X (%d bytes), want %.80X (%d bytes)", x.Name, got, len(got), x.Want, len(x.Want))
	}
	return got
}

// usable: whatever happened, a power on brings the SE back.
func (c *conformance) usable() {
	c.t.Helper()
	c.on()
	for _, x := range c.probe.Exchanges {
		c.exchange(x)
	}
}

func (c *conformance) executed() int64 {
	if c.probe.Executed == nil {
		return 0
	}
	return c.probe.Executed()
}

func (c *conformance) stableName() {
	name := c.se.String()
	if name == "" {
		c.t.Error("String is empty")
	}
	check := func(when string) {
		if got := c.se.String(); got != name {
			c.t.Errorf("String is %q %s, was %q", got, when, name)
		}
	}
	check("at the second call")
	c.usable()
	check("when on")
	if err := c.se.PowerOff(c.t.Context()); err != nil {
		c.t.Fatalf("PowerOff: %v", err)
	}
	check("when off")
}

// goodATR judges an answer to reset.
func (c *conformance) goodATR(atr []byte) {
	c.t.Helper()
	if len(atr) == 0 {
		c.t.Error("no answer to reset")
	}
	if want := c.probe.ATR; want != nil && !bytes.Equal(atr, want) {
		c.t.Errorf("answer to reset %X, want %X", atr, want)
	}
	if c.probe.NoParse {
		return
	}
	if _, err := apdu.ParseATR(atr); err != nil {
		c.t.Errorf("%X: %v", atr, err)
	}
}

func (c *conformance) powerOn() {
	atr, err := c.se.PowerOn(c.t.Context())
	if err != nil {
		c.t.Fatalf("PowerOn: %v", err)
	}
	c.goodATR(atr)
}

func (c *conformance) powerOnTwice() {
	first, err := c.se.PowerOn(c.t.Context())
	if err != nil {
		c.t.Fatalf("PowerOn: %v", err)
	}
	kept := slices.Clone(first)
	c.exchange(c.probe.Exchanges[0])
	second, err := c.se.PowerOn(c.t.Context())
	if err != nil {
		c.t.Fatalf("second PowerOn: %v", err)
	}
	c.goodATR(second)
	if !slices.Equal(first, kept) {
		c.t.Errorf("the second PowerOn wrote over the first one's answer: %X, was %X", first, kept)
	}
	if !slices.Equal(first, second) {
		c.t.Errorf("the second PowerOn answered %X, the first %X", second, first)
	}
	clear(second) // the caller may keep it, so it may also write to it
	c.usable()
}

func (c *conformance) off() {
	check := func(when string) {
		before := c.executed()
		if got, err := c.se.Transmit(c.t.Context(), c.probe.Exchanges[0].Command); !errors.Is(err, drivers.ErrPoweredOff) {
			c.t.Errorf("%s: Transmit: %X, %v; want %v", when, got, err, drivers.ErrPoweredOff)
		} else if errors.Is(err, drivers.ErrOutcomeUnknown) {
			c.t.Errorf("%s: Transmit: %v: nothing can have been executed", when, err)
		}
		for _, kind := range []drivers.ResetKind{drivers.Cold, drivers.Warm} {
			if got, err := c.se.Reset(c.t.Context(), kind); !errors.Is(err, drivers.ErrPoweredOff) {
				c.t.Errorf("%s: %s Reset: %X, %v; want %v", when, kind, got, err, drivers.ErrPoweredOff)
			}
		}
		if n := c.executed() - before; n != 0 {
			c.t.Errorf("%s: %d commands were executed", when, n)
		}
	}
	check("never powered on")
	c.on()
	if err := c.se.PowerOff(c.t.Context()); err != nil {
		c.t.Fatalf("PowerOff: %v", err)
	}
	check("powered off")
	c.usable()
}

func (c *conformance) powerOffTwice() {
	for _, when := range []string{"never powered on", "again"} {
		if err := c.se.PowerOff(c.t.Context()); err != nil {
			c.t.Errorf("PowerOff, %s: %v", when, err)
		}
	}
	c.on()
	for _, when := range []string{"on", "off"} {
		if err := c.se.PowerOff(c.t.Context()); err != nil {
			c.t.Errorf("PowerOff of an SE that is %s: %v", when, err)
		}
	}
	c.usable()
}

func (c *conformance) exchanges() {
	c.on()
	for _, x := range c.probe.Exchanges {
		cmd, err := apdu.Parse(x.Command)
		if err != nil {
			c.t.Fatalf("%s: the probe's command: %v", x.Name, err)
		}
		before := c.executed()
		c.exchange(x)
		if n := c.executed() - before; c.probe.Executed != nil && n != 1 {
			c.t.Errorf("%s (%s): executed %d times", x.Name, cmd, n)
		}
	}
}

func (c *conformance) reset() {
	for _, kind := range []drivers.ResetKind{drivers.Cold, drivers.Warm} {
		c.on()
		c.exchange(c.probe.Exchanges[0])
		atr, err := c.se.Reset(c.t.Context(), kind)
		if err != nil {
			c.t.Fatalf("%s Reset: %v", kind, err)
		}
		c.goodATR(atr)
		for _, x := range c.probe.Exchanges {
			c.exchange(x)
		}
	}
}

// within runs a call and holds it to the bound from the moment that ctx is
// done.
func (c *conformance) within(ctx context.Context, what string, call func() error) {
	c.t.Helper()
	done := make(chan error, 1)
	go func() { done <- call() }()
	var err error
	select {
	case err = <-done:
	case <-ctx.Done():
		timer := time.NewTimer(c.probe.Bound)
		defer timer.Stop()
		select {
		case err = <-done:
		case <-timer.C:
			c.t.Errorf("%s: still running %v after its context was done", what, c.probe.Bound)
			err = <-done
		}
	}
	if !errors.Is(err, ctx.Err()) || ctx.Err() == nil {
		c.t.Errorf("%s: error %v, want %v", what, err, ctx.Err())
	}
}
