package driverstest

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/cloud-of-se/tses/drivers"
)

// A Fault is what a [Scripted] SE does instead of its duty.
type Fault int32

const (
	// Healthy is no fault.
	Healthy Fault = iota
	// Mute: power on, reset and commands fail with [drivers.ErrMute].
	Mute
	// Removed: power on fails with [drivers.ErrNoCard], reset and commands
	// with [drivers.ErrRemoved].
	Removed
	// Hang: every call blocks until its context is done.
	Hang
	// Always61: every command is answered with one byte of data and 6110.
	Always61
	// Always6C: every command is answered with 6CXX, never the Le asked for.
	Always6C
	// PowerOffFails: the power goes off and PowerOff returns an error.
	PowerOffFails
)

// SetFault lets the SE fail from its next call on; [Healthy] heals it.
func (s *Scripted) SetFault(f Fault) { s.fault.Store(int32(f)) }

// Fault is what [Scripted.SetFault] set last.
func (s *Scripted) Fault() Fault { return Fault(s.fault.Load()) }

// admit lets a call pass or fail as the fault says. A command that found a
// mute, hanging or vanished card may have been executed.
func (s *Scripted) admit(ctx context.Context, op string) error {
	if err := ctx.Err(); err != nil {
		return s.fail(op, err)
	}
	var err error
	switch s.Fault() {
	case Mute:
		err = drivers.ErrMute
	case Removed:
		if err = drivers.ErrRemoved; op == "power on" {
			err = drivers.ErrNoCard
		}
	case Hang:
		s.counts.hangs.Add(1)
		<-ctx.Done()
		err = ctx.Err()
	default:
		return nil
	}
	if op == "transmit" {
		err = errors.Join(err, drivers.ErrOutcomeUnknown)
	}
	return s.fail(op, err)
}

// Counts are what a [Scripted] SE has done since it was made.
type Counts struct {
	PowerOns   int64 // that succeeded
	PowerOffs  int64 // of an SE that was on
	ColdResets int64 // by Reset
	WarmResets int64
	Commands   int64 // commands that reached the card
	Hangs      int64 // power ons, resets and commands that the fault Hang caught
	Overlaps   int64 // calls made while another was running: the owner's fault
}

type counters struct {
	powerOns, powerOffs, coldResets, warmResets, commands, hangs, overlaps atomic.Int64
}

// Counts is a snapshot.
func (s *Scripted) Counts() Counts {
	c := &s.counts
	return Counts{
		PowerOns: c.powerOns.Load(), PowerOffs: c.powerOffs.Load(),
		ColdResets: c.coldResets.Load(), WarmResets: c.warmResets.Load(),
		Commands: c.commands.Load(), Hangs: c.hangs.Load(), Overlaps: c.overlaps.Load(),
	}
}

// On tells whether the power is on.
func (s *Scripted) On() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.on
}
