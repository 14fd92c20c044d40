package main

import (
	"context"
	"errors"
	"time"
)

// How long a chip that does not answer is left alone: the first time, and at
// most after many times.
const (
	firstRetry = time.Second
	lastRetry  = time.Minute
)

// probeTime bounds one try to get an answer out of a chip.
const probeTime = 15 * time.Second

// run tries until the SE answers, and again after it went away.
func (r *retrying) run(ctx context.Context) {
	defer close(r.done)
	for pause := time.Duration(0); ; {
		if !r.wait(ctx, pause) {
			return
		}
		switch up, ok := r.try(ctx, min(max(2*pause, firstRetry), lastRetry)); {
		case !ok:
			return
		case !up:
			pause = min(max(2*pause, firstRetry), lastRetry)
			continue
		}
		select {
		case <-r.wake:
			pause = firstRetry
		case <-ctx.Done():
			return
		}
	}
}

// wait lets the pause pass; false says that it is over for good.
func (r *retrying) wait(ctx context.Context, pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// try powers the SE on and off again, unless it is up or its owner has it. next
// is when the next try would be.
func (r *retrying) try(ctx context.Context, next time.Duration) (up, ok bool) {
	if err := r.take(ctx); err != nil {
		return false, false
	}
	defer r.give()
	if r.up { // or its owner has it
		return true, true
	}
	probing, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	r.setProbe(cancel)
	defer r.setProbe(nil)
	_, err := r.powerOn(probing)
	if err == nil {
		err = r.se.PowerOff(probing)
	}
	if err == nil {
		r.answers()
		return true, true
	}
	if errors.Is(probing.Err(), context.Canceled) { // its owner wants it: that is the try
		r.abandon()
		return r.up, ctx.Err() == nil
	}
	r.silent(err, next)
	return false, true
}

func (r *retrying) setProbe(cancel context.CancelFunc) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.probe = cancel
}

// hurry ends a try that runs: the owner's own takes its place.
func (r *retrying) hurry() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.probe != nil {
		r.probe()
	}
}
