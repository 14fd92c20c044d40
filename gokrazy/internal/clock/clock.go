//go:build unix

// Package clock gives a machine without a real-time clock a time that it can
// judge certificates by.
//
// The clock never starts before the later of two times: when the image was
// built, and the last time that the machine is known to have had. It is set by
// NTP as soon as a server answers, and the time is saved now and then and at
// shutdown. [Clock.State] tells how far it can be trusted.
package clock

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/beevik/ntp"
)

// State is how far the clock can be trusted.
type State int32

const (
	// Floor: the time is the latest that is known to have passed; the real
	// one is later, nobody knows how much.
	Floor State = iota
	// RTC: the time came from a real-time clock, and is not before the floor.
	RTC
	// Synchronised: the time came from an NTP server.
	Synchronised
)

// String says the state in words.
func (s State) String() string {
	return [...]string{"not before this time, by an unknown span", "from the real-time clock", "synchronised by NTP"}[s]
}

// Clock keeps the system's clock. Set the fields before use.
type Clock struct {
	Built   time.Time // when the image was built
	File    string    // keeps the last known time
	Servers []string  // NTP servers, tried in their order, before those of Offer
	Log     *slog.Logger

	// Changed is told the state when the clock is started, and whenever it is
	// another; nil: nobody.
	Changed func(State)

	// For tests; nil means the system's.
	Now   func() time.Time
	Set   func(time.Time) error
	Query func(ctx context.Context, server string) (offset time.Duration, err error)

	state atomic.Int32

	mu      sync.Mutex
	offered []string
	wake    chan struct{}
}

// Offer tells which further servers there are now, such as those that a DHCP
// server names, and that it is time to ask: the network has come up.
func (c *Clock) Offer(servers []string) {
	c.mu.Lock()
	c.offered = slices.Clone(servers)
	c.mu.Unlock()
	select {
	case c.woken() <- struct{}{}:
	default: // it is going to ask anyhow
	}
}

func (c *Clock) woken() chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.wake == nil {
		c.wake = make(chan struct{}, 1)
	}
	return c.wake
}

func (c *Clock) servers() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Concat(c.Servers, c.offered)
}

// become notes the state.
func (c *Clock) become(s State) {
	if c.Changed != nil {
		c.Changed(s)
	}
	c.state.Store(int32(s))
}

// The times between two tries, and between two savings.
const (
	firstRetry = 2 * time.Second
	mostRetry  = 5 * time.Minute
	resync     = 30 * time.Minute
	saveEvery  = 10 * time.Minute
)

// maxStep is how far into the future a server may set the clock. A forged time
// beyond every certificate would lock the owner out.
const maxStep = 20 * 365 * 24 * time.Hour

// State tells how far the clock can be trusted now.
func (c *Clock) State() State { return State(c.state.Load()) }

// Start raises the clock to the floor. A clock that is past it already was set
// by a real-time clock.
func (c *Clock) Start() error {
	floor := c.Built
	if saved, err := c.saved(); err == nil && saved.After(floor) {
		floor = saved
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		c.Log.Warn("clock: the last known time cannot be read, the image's is used", "err", err)
	}
	now := c.now()
	if !now.Before(floor) {
		c.become(RTC)
		c.Log.Info("clock", "time", now.UTC().Format(time.RFC3339), "state", RTC.String())
		return nil
	}
	if err := c.set(floor); err != nil {
		return fmt.Errorf("clock: set to %v: %w", floor, err)
	}
	c.become(Floor)
	c.Log.Warn("clock: this machine has lost the time; certificates are judged by the last known one until NTP answers",
		"was", now.UTC().Format(time.RFC3339), "time", floor.UTC().Format(time.RFC3339))
	return nil
}

// Run sets the clock by NTP again and again, and saves the time, until the
// context is done.
func (c *Clock) Run(ctx context.Context) {
	save := time.NewTicker(saveEvery)
	defer save.Stop()
	retry := firstRetry
	for next := time.After(0); ; {
		select {
		case <-ctx.Done():
			c.save()
			return
		case <-save.C:
			c.save()
		case <-c.woken():
			retry = firstRetry
			next = time.After(0)
		case <-next:
			if c.synchronise(ctx) {
				retry = firstRetry
				next = time.After(resync)
				continue
			}
			next = time.After(retry)
			retry = min(2*retry, mostRetry)
		}
	}
}

// synchronise asks the servers in their order until one answers.
func (c *Clock) synchronise(ctx context.Context) bool {
	for _, server := range c.servers() {
		ask, cancel := context.WithTimeout(ctx, 5*time.Second)
		offset, err := c.query(ask, server)
		cancel()
		if err == nil {
			err = c.step(server, offset)
		}
		if err == nil {
			return true
		}
		c.Log.Debug("clock: no time", "server", server, "err", err)
	}
	return false
}

// step sets the clock by an offset that a server told.
func (c *Clock) step(server string, offset time.Duration) error {
	t := c.now().Add(offset)
	switch {
	case t.Before(c.Built):
		return fmt.Errorf("%s says %v, which is before this image was built", server, t)
	case offset > maxStep:
		return fmt.Errorf("%s says %v, which is too far ahead", server, t)
	}
	if err := c.set(t); err != nil {
		return err
	}
	if c.State() != Synchronised {
		c.Log.Info("clock", "time", t.UTC().Format(time.RFC3339), "state", Synchronised.String(), "server", server, "step", offset)
		c.become(Synchronised)
	}
	c.save()
	return nil
}

func (c *Clock) saved() (time.Time, error) {
	b, err := os.ReadFile(c.File)
	if err != nil {
		return time.Time{}, err
	}
	return time.Parse(time.RFC3339, string(b))
}

// save writes the time down. That it fails costs some minutes after the next
// start, no more.
func (c *Clock) save() {
	tmp := c.File + ".tmp"
	err := os.MkdirAll(filepath.Dir(c.File), 0o755)
	if err == nil {
		err = os.WriteFile(tmp, []byte(c.now().UTC().Format(time.RFC3339)), 0o644)
	}
	if err == nil {
		err = os.Rename(tmp, c.File)
	}
	if err != nil {
		c.Log.Warn("clock: the time cannot be saved", "err", err)
	}
}

func (c *Clock) now() time.Time {
	if c.Now != nil {
		return c.Now()
	}
	return time.Now()
}

func (c *Clock) set(t time.Time) error {
	if c.Set != nil {
		return c.Set(t)
	}
	tv := syscall.NsecToTimeval(t.UnixNano())
	return syscall.Settimeofday(&tv)
}

func (c *Clock) query(ctx context.Context, server string) (time.Duration, error) {
	if c.Query != nil {
		return c.Query(ctx, server)
	}
	timeout := 5 * time.Second
	if end, ok := ctx.Deadline(); ok {
		timeout = time.Until(end)
	}
	r, err := ntp.QueryWithOptions(server, ntp.QueryOptions{Timeout: timeout})
	if err != nil {
		return 0, err
	}
	return r.ClockOffset, r.Validate()
}
