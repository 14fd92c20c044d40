//go:build unix

// Package clock gives a machine without a real-time clock a time that it can
// judge certificates by.
//
// The clock never starts before the later of two times: when the image was
// built, and the last time that the machine is known to have had. It is set by
// NTP as soon as a server answers, and the time is saved now and then and at
// shutdown. [Clock.State] tells how far it can be trusted.
//
// # What a server can do
//
// NTP is not authenticated (RFC 5905 has means, which no server at hand uses),
// and the servers that DHCP names are anybody's on the same wire. So no answer
// sets the clock before the image was built, or more than [maxAge] behind that.
// One that takes the clock back by more than [maxBack] behind the last known
// time, or on by more than [maxForward] once it was synchronised, in one step or
// in many, counts only from a server of the configuration, or when a second
// server agrees. Each real step is in the log.
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
	// Synced is told the time each time that a server has confirmed or set it;
	// nil: nobody.
	Synced func(time.Time)

	// For tests; nil means the system's.
	Now   func() time.Time
	Set   func(time.Time) error
	Query func(ctx context.Context, server string) (offset time.Duration, err error)

	state atomic.Int32

	mu      sync.Mutex
	offered []string
	known   bool // Offer was called
	wake    chan struct{}

	// Of Run.
	lastKnown time.Time       // the latest time that was saved, or the floor
	lastSave  time.Time       // by the monotonic clock, as anchored is
	anchor    time.Time       // the time that single servers may not lead away from
	anchored  time.Time       // when it was set
	told      map[string]bool // servers whose time was refused, since one was taken
}

// maxServers bounds how many servers of Offer are asked.
const maxServers = 8

// Offer tells which further servers there are now, such as those that a DHCP
// server names. The first time, and when they are others, they are asked at
// once: a lease that is renewed every few seconds is no reason to.
func (c *Clock) Offer(servers []string) {
	servers = servers[:min(len(servers), maxServers)]
	c.mu.Lock()
	same := c.known && slices.Equal(c.offered, servers)
	c.offered, c.known = slices.Clone(servers), true
	c.mu.Unlock()
	if same {
		return
	}
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
	var all []string
	for _, server := range slices.Concat(c.Servers, c.offered) {
		if !slices.Contains(all, server) { // one cannot agree with itself
			all = append(all, server)
		}
	}
	return all
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

const (
	// maxAge is how long behind its build an image is in use at the most. A
	// forged time beyond every certificate would lock the owner out.
	maxAge = 20 * 365 * 24 * time.Hour
	// maxBack and maxForward are the steps that one server of DHCP's can make.
	maxBack    = 24 * time.Hour
	maxForward = 30 * 24 * time.Hour
	// agree is how near two servers have to be to agree.
	agree = 10 * time.Second
	// realStep is more than a clock drifts between two answers.
	realStep = 5 * time.Second
)

// State tells how far the clock can be trusted now.
func (c *Clock) State() State { return State(c.state.Load()) }

// Start raises the clock to the floor. A clock that is past it already was set
// by a real-time clock.
func (c *Clock) Start() error {
	floor := c.Built
	if saved, err := c.saved(); err == nil && saved.After(floor) && !saved.After(c.Built.Add(maxAge)) {
		floor = saved
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		c.Log.Warn("clock: the last known time cannot be read, the image's is used", "err", err)
	}
	c.lastKnown = floor
	now := c.now()
	if !now.Before(floor) && !now.After(c.Built.Add(maxAge)) {
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
			if time.Since(c.lastSave) >= saveEvery {
				c.save()
			}
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

// answer is a server's.
type answer struct {
	server string
	offset time.Duration
}

// synchronise asks the servers in their order until one answers whose time can
// be taken.
func (c *Clock) synchronise(ctx context.Context) bool {
	var doubtful []answer
	for _, server := range c.servers() {
		ask, cancel := context.WithTimeout(ctx, 5*time.Second)
		offset, err := c.query(ask, server)
		cancel()
		a, trusted := answer{server, offset}, slices.Contains(c.Servers, server)
		if err == nil {
			err = c.judge(a, trusted)
		}
		if errors.Is(err, errDoubtful) {
			if slices.ContainsFunc(doubtful, func(other answer) bool { return (other.offset - offset).Abs() <= agree }) {
				trusted, err = true, nil
			}
			doubtful = append(doubtful, a)
		}
		if err == nil {
			err = c.step(a, trusted)
		}
		if err == nil {
			return true
		}
		if errors.Is(err, errDoubtful) || errors.Is(err, errImpossible) {
			c.tell(server, err)
		} else {
			c.Log.Debug("clock: no time", "server", server, "err", err)
		}
	}
	return false
}

// The reasons for which a server's time is not taken.
var (
	errImpossible = errors.New("no time that this image can see")
	errDoubtful   = errors.New("too far from what is known for one server that the configuration does not name")
)

// judge tells why a server's time is not to be taken from it alone. One that is
// trusted has to stay in what this image can see.
func (c *Clock) judge(a answer, trusted bool) error {
	t := c.now().Add(a.offset)
	switch {
	case t.Before(c.Built):
		return fmt.Errorf("%w: the image was built at %s; if the server is wrong, name another in network.ntp", errImpossible, c.Built.UTC().Format(time.RFC3339))
	case t.After(c.Built.Add(maxAge)):
		return fmt.Errorf("%w: the image was built at %s, more than 20 years before; name another server in network.ntp, or make a new card", errImpossible, c.Built.UTC().Format(time.RFC3339))
	case trusted:
		return nil
	case t.Before(c.lastKnown.Add(-maxBack)), c.State() == Synchronised && t.Sub(c.anchor.Add(time.Since(c.anchored))) > maxForward:
		return fmt.Errorf("%w: the last known time is %s; if the server is right, name it in network.ntp", errDoubtful, c.lastKnown.UTC().Format(time.RFC3339))
	}
	return nil
}

// maxTold bounds for how many servers it is remembered that they were told of.
const maxTold = 64

// tell writes down that a server's time was refused, once until another is
// taken.
func (c *Clock) tell(server string, err error) {
	if c.told[server] || len(c.told) >= maxTold {
		return
	}
	if c.told == nil {
		c.told = make(map[string]bool)
	}
	c.told[server] = true
	c.Log.Warn("clock: the time of a server is not taken", "server", server, "err", err)
}

// step sets the clock by a server's answer.
func (c *Clock) step(a answer, trusted bool) error {
	was := c.now()
	t := was.Add(a.offset)
	if err := c.set(t); err != nil {
		return err
	}
	first, real := c.State() != Synchronised, a.offset.Abs() >= realStep
	switch {
	case real:
		c.Log.Warn("clock", "time", t.UTC().Format(time.RFC3339), "state", Synchronised.String(), "server", a.server, "step", a.offset, "was", was.UTC().Format(time.RFC3339))
	case first:
		c.Log.Info("clock", "time", t.UTC().Format(time.RFC3339), "state", Synchronised.String(), "server", a.server, "step", a.offset)
	}
	if first || trusted {
		c.anchor, c.anchored = t, time.Now()
	}
	if trusted && t.Before(c.lastKnown) {
		c.lastKnown = t
	}
	if first {
		c.become(Synchronised)
	}
	clear(c.told)
	if c.Synced != nil {
		c.Synced(t)
	}
	if real || time.Since(c.lastSave) >= saveEvery {
		c.save()
	}
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
	tmp, now := c.File+".tmp", c.now()
	if now.Before(c.lastKnown) {
		now = c.lastKnown // a single server has taken the clock back a little
	}
	c.lastKnown, c.lastSave = now, time.Now()
	err := os.MkdirAll(filepath.Dir(c.File), 0o755)
	if err == nil {
		err = os.WriteFile(tmp, []byte(now.UTC().Format(time.RFC3339)), 0o644)
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
