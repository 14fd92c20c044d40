//go:build unix

// Package clock gives a machine without a real-time clock a time that it can
// judge certificates by, and says how sure it is of it.
//
// # What is known
//
// Three things are told apart.
//
// The evidence is a time that has passed for certain: the image was built, an
// access credential began ([Clock.Evidence]), and the box has run since. Each is
// signed by the owner or lived through; the saved evidence and the time that the
// machine's monotonic clock counts from there on, less a thousandth for a crystal
// that is too fast. Nothing takes the clock before it.
//
// The floor is the evidence, or what servers have vouched for where that is later:
// one that the configuration names, or two that agree. It can be ahead of the
// evidence by [maxAhead] at the most, however often and by whomever it is raised,
// and servers that vouch for less take it back. The clock starts with the floor.
//
// The clock is what is judged by now. Every server may set it, to a time that is
// not before the evidence. That is kept nowhere: the next start begins with the
// floor again.
//
// So somebody who forges NTP (RFC 5905), which is not authenticated, or names
// servers by DHCP, can make a clock wrong for as long as they are there. What they
// leave behind is half a year at most, and what is left behind of one forged
// answer is nothing.
//
// # How sure it is
//
// [Proven] is a clock that was vouched for at this start, within maxAhead of the
// evidence. Single servers move it no more than a clock drifts. All others are
// [Clock.State]s in which the time may be wrong in either direction, but for the
// evidence; package access says what that is to an expiry.
//
// # What a wrong owner can do
//
// Evidence that the owner has dated into the future, by a clock that was wrong,
// is believed, before all servers. A credential counts for two years ahead of the
// evidence at most. The way back is a credential that the owner issues for longer,
// and with it an older system that the owner permits (package update): it begins
// the evidence anew.
//
// # Authenticated servers
//
// Network Time Security (RFC 8915) would make a server's answer evidence. It takes
// AES-SIV-CMAC (RFC 5297), which neither Go's library nor golang.org/x/crypto has:
// github.com/beevik/nts v0.2.1 brings it by two packages for which nobody has
// answered since 2018, and this project takes cryptography from Go's own alone. It
// takes public CAs on a card that trusts its owner alone today, whose certificates
// have dates, to be judged by a clock that is not set yet. And it takes a TLS
// client in the first process, with what certificates strangers send.
package clock

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/beevik/ntp"
)

// State is how sure the machine is of its clock.
type State int32

const (
	// Floor: nobody has told the time. The real one is most likely later.
	Floor State = iota
	// RTC: the time came from a real-time clock, and is not before the floor.
	RTC
	// Told: a server has told the time for which nobody vouches.
	Told
	// Proven: a server of the configuration has told it, or two that agree,
	// within what the evidence lets be.
	Proven
)

// String says the state in words.
func (s State) String() string {
	return [...]string{"not before this time, by an unknown span", "from the real-time clock", "told by a server that nobody vouches for", "synchronised by NTP"}[s]
}

// Clock keeps the system's clock. Set the fields before use.
type Clock struct {
	Built time.Time // when the image was built
	File  string    // keeps evidence and floor
	// Trial tells whether this image may not run again: it does not make the saved
	// evidence its own then. nil: it may.
	Trial func() bool
	// Servers are those of the configuration, which vouch for the time.
	Servers []string
	// Others are asked besides: two that agree vouch for it.
	Others []string
	Log    *slog.Logger

	// Changed is told the state, and what has passed for certain, when the clock
	// is started, when it is another, and as time goes by; nil: nobody.
	Changed func(s State, evidence time.Time)
	// Synced is told a proven time each time that servers have confirmed or set
	// it; nil: nobody.
	Synced func(time.Time)

	// For tests; nil means the system's.
	Now   func() time.Time
	Set   func(time.Time) error
	Query func(ctx context.Context, server string) (offset time.Duration, err error)

	write func(path string, text []byte) error // nil: durable

	state atomic.Int32
	wake  chan struct{}
	once  sync.Once

	mu       sync.Mutex
	offered  []string
	known    bool // Offer was called
	floor    floor
	began    time.Time       // by the monotonic clock, as the others are
	lastSave time.Time       // zero: not yet
	kept     time.Time       // the evidence that is in the file
	anchor   time.Time       // the time that single servers may not lead away from, zero: none
	anchored time.Time       // when it was set
	told     map[string]bool // what was said of servers since one was taken
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
	c.once.Do(func() { c.wake = make(chan struct{}, 1) })
	return c.wake
}

func (c *Clock) servers() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []string
	for _, server := range slices.Concat(c.Servers, c.offered, c.Others) {
		if !slices.Contains(all, server) { // one cannot agree with itself
			all = append(all, server)
		}
	}
	return all
}

// become notes the state, and tells it. c.mu is held.
func (c *Clock) become(s State) {
	c.state.Store(int32(s))
	if c.Changed != nil {
		c.Changed(s, c.floor.evidence(time.Now()))
	}
}

// The times between two tries, and between two savings.
const (
	firstRetry = 2 * time.Second
	mostRetry  = 5 * time.Minute
	resync     = 30 * time.Minute
	firstSave  = time.Minute
	saveEvery  = 10 * time.Minute
)

const (
	day = 24 * time.Hour
	// maxAge is how long behind its build an image is in use at the most.
	maxAge = 20 * 365 * day
	// maxAhead is how far ahead of the evidence servers are believed for good. A
	// new credential of two years gets in whatever they have said.
	maxAhead = 180 * day
	// maxJump is how far ahead of the evidence a credential is believed: as long
	// as one lives.
	maxJump = 2 * 365 * day
	// maxBack is how far behind the floor a server alone may take the clock.
	maxBack = day
	// agree is how near two servers have to be to agree.
	agree = 10 * time.Second
	// realStep is more than a clock drifts between two answers.
	realStep = 5 * time.Second
	// maxDrift, and a thousandth of the time since, is how far a server alone may
	// take a proven clock.
	maxDrift = time.Minute
)

// State tells how far the clock can be trusted now.
func (c *Clock) State() State { return State(c.state.Load()) }

// Start raises the clock to the floor. A clock that is past it already was set
// by a real-time clock.
func (c *Clock) Start() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.began = time.Now()
	c.load()
	start, now := c.floor.time(c.began), c.now()
	if !now.Before(start) && !now.After(c.Built.Add(maxAge)) {
		c.become(RTC)
		c.Log.Info("clock", "time", stamp(now), "state", RTC.String(), "evidence", stamp(c.floor.proved))
		return nil
	}
	if err := c.set(start); err != nil {
		return fmt.Errorf("clock: set to %v: %w", start, err)
	}
	c.become(Floor)
	c.Log.Warn("clock: this machine has lost the time; certificates are judged by the last known one until NTP answers",
		"was", stamp(now), "time", stamp(start), "evidence", stamp(c.floor.proved))
	return nil
}

// Run sets the clock by NTP again and again, and saves what is known, until the
// context is done.
func (c *Clock) Run(ctx context.Context) {
	save := time.NewTicker(firstSave)
	defer save.Stop()
	retry := firstRetry
	for next := time.After(0); ; {
		select {
		case <-ctx.Done():
			c.mu.Lock()
			c.save()
			c.mu.Unlock()
			return
		case <-save.C:
			c.saveInTime()
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

// saveInTime saves when it is time to: soon behind the start, for boxes that are
// switched off soon, then every 10 minutes.
func (c *Clock) saveInTime() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lastSave.IsZero() || time.Since(c.lastSave) >= min(saveEvery, time.Since(c.began)/2) {
		c.save()
	}
}

// Evidence tells of a time that has passed for certain, since the owner has signed
// something at that time or later: what is said in words. The caller has verified
// that.
func (c *Clock) Evidence(t time.Time, what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := time.Now()
	has := c.floor.evidence(at)
	if !t.After(has) {
		if t.After(c.kept) {
			c.save() // what was lived through is known to have passed, too
		}
		return
	}
	if t.After(has.Add(maxJump)) || t.After(c.Built.Add(maxAge)) {
		c.tell(what, fmt.Errorf("%w: it is dated %s, years behind %s, which has passed; an update shows that it is right", errOwner, stamp(t), stamp(has)))
		return
	}
	c.floor.prove(t, at)
	if now := c.now(); now.Before(t) {
		c.contradicted(t, now, what)
	} else {
		c.Log.Info("clock: a time that has passed", "time", stamp(t), "by", what)
	}
	c.save()
}

// contradicted sets a clock on that was behind the evidence, whoever had set it.
func (c *Clock) contradicted(t, was time.Time, what string) {
	c.Log.Warn("clock", "time", stamp(t), "state", c.State().String(), "by", what, "step", t.Sub(was), "was", stamp(was))
	if err := c.set(t); err != nil {
		c.Log.Error("clock", "err", err)
	}
	if c.State() == Proven && t.Sub(was) > maxDrift {
		c.state.Store(int32(Told)) // what servers have vouched for was wrong
	}
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

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
	timeout := askTime
	if end, ok := ctx.Deadline(); ok {
		timeout = time.Until(end)
	}
	r, err := ntp.QueryWithOptions(server, ntp.QueryOptions{Timeout: timeout})
	if err != nil {
		return 0, err
	}
	return r.ClockOffset, r.Validate()
}
