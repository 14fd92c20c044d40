package main

import (
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/cloud-of-se/tses/access"
	"github.com/cloud-of-se/tses/gokrazy/sdcard"
)

// boxClock is what the first process of an SD card tells of the clock.
type boxClock struct {
	path string
	log  *slog.Logger

	mu   sync.Mutex
	read time.Time // when it was, by the monotonic clock
	last sdcard.Clock
}

// clockEvery is how old what was read may be: it is asked for with each client,
// and for each session once a second.
const clockEvery = 200 * time.Millisecond

// newBoxClock returns nil elsewhere than on an SD card, where the clock is its
// operator's. The log hears of it at the start and when it changes.
func newBoxClock(log *slog.Logger) *boxClock {
	path, ok := os.LookupEnv(sdcard.ClockEnv)
	if !ok {
		return nil
	}
	b := &boxClock{path: path, log: log}
	b.now()
	return b
}

// now is what is known of the time.
func (b *boxClock) now() access.Clock {
	c := b.told()
	return access.Clock{Now: time.Now(), Proven: c.State == sdcard.ClockSet, Evidence: c.Evidence}
}

func (b *boxClock) told() sdcard.Clock {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.read.IsZero() && time.Since(b.read) < clockEvery {
		return b.last
	}
	was := b.last.State
	c, err := sdcard.ReadClock(b.path)
	if c.Evidence.Before(b.last.Evidence) {
		c.Evidence = b.last.Evidence // what has passed has
	}
	b.last, b.read = c, time.Now()
	if c.State != was {
		b.say(err)
	}
	return c
}

func (b *boxClock) say(err error) {
	passed := b.last.Evidence.UTC().Format(time.RFC3339)
	switch b.last.State {
	case sdcard.ClockSet:
		b.log.Info("the clock is set: certificates are judged by it")
	case sdcard.ClockTold:
		b.log.Warn("the clock is not proven: users are judged by it, and administrators' certificates by what has passed for certain; two NTP servers that agree, or one in network.ntp, prove it", "passed", passed)
	default:
		b.log.Warn("the clock is not set: of the dates of certificates it is judged only whether they had ended before the last known time; an NTP server or a real-time clock cures that", "passed", passed, "err", err)
	}
}

// forUpdates is the time that updates are judged by, zero while nobody has told
// it. Nothing is lost by a wrong one: an update is refused that was built later.
func (b *boxClock) forUpdates() time.Time {
	if b != nil && b.told().State == sdcard.ClockFloor {
		return time.Time{}
	}
	return time.Now()
}
