//go:build linux

package trial

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/cloud-of-se/tses/gokrazy/sdcard"
	"github.com/cloud-of-se/tses/gokrazy/slots"
	"github.com/cloud-of-se/tses/update"
)

// Watch is what init does about updates while the TSES runs.
type Watch struct {
	Card *Card
	// Owner is the file with the certificate of the owner's CA, beside which the
	// box's name and when it was built stand.
	Owner string
	// File is where the TSES reads how the slots stand, see [sdcard.SlotsFile].
	File string
	// User may write the slot that does not run.
	User int
	// Healthy tells whether the TSES has shown lately that it is well.
	Healthy func() bool
	// Starts is how often the TSES was started. One that is started again and
	// again is not well, however well it is in between.
	Starts func() int
	// Restart restarts the box in good order, and returns at once.
	Restart func(why string)
	Log     *slog.Logger

	confirmed bool      // the slot that runs is the selected one
	since     time.Time // when the TSES was found well, without a break since
	starts    int       // how often it had been started then
	left      []byte    // the head of an armed update that the box does not restart for, nil for none
	refused   int       // how many there were since the box started
	boot      bootChange

	onTrial     atomic.Bool // as long as it is not confirmed
	overwriting atomic.Bool // the boot partition is, or is overwritten in part

	change func(boot, p *slots.Partition, h *update.Header, s slots.Slot) (bool, error) // another in tests
}

// bootChange is how far the boot partition is that came with what runs.
type bootChange struct {
	pending bool // it is not in place yet, and no update may come
	written bool // some of it was written since the box started
	tries   int  // that have failed
	next    time.Time
}

// Prepare is called before the TSES is started. Where this start is no trial it
// makes the boot files agree on the slot that runs, lets the TSES write the
// other, and completes a change of the boot partition that was cut short.
func (w *Watch) Prepare() error {
	if w.Card.Trial() {
		w.onTrial.Store(true)
		return w.tell()
	}
	w.confirmed = true
	w.sayLast()
	err := w.selectRunning()
	// One that was half overwritten names nothing until the rest is written.
	if err == nil || errors.Is(err, slots.ErrBoot) {
		if w.boot.pending = !w.changeBoot(time.Now()); w.boot.pending {
			return nil // the TSES says that no update can come, and the log why
		}
		err = w.selectRunning()
	}
	if err != nil {
		// An update now could overwrite what another boot loader starts.
		return fmt.Errorf("update: the boot partition: %w", err)
	}
	return w.open()
}

// selectRunning makes the boot partition name the slot that runs.
func (w *Watch) selectRunning() error {
	return with(func(p []*slots.Partition) error { return slots.Select(p[0], w.Card.Running) }, w.Card.devices[bootPartition])
}

// open lets the TSES write the other slot, and tells it.
func (w *Watch) open() error {
	device := w.Card.device(w.Card.Running.Other())
	err := os.Chown(device, w.User, w.User)
	if err == nil {
		err = os.Chmod(device, 0o600)
	}
	if err != nil {
		return fmt.Errorf("update: the other slot: %w", err)
	}
	return w.tell()
}

func (w *Watch) tell() error {
	return sdcard.WriteSlots(w.File, sdcard.Slots{
		Running: int(w.Card.Running), Trial: !w.confirmed, Other: w.Card.device(w.Card.Running.Other()),
	})
}

// sayLast says in the log if an update was tried and taken back, or was to be
// tried at this start and was not.
func (w *Watch) sayLast() {
	// What cannot be read was no update.
	_ = with(func(p []*slots.Partition) error {
		r, err := slots.ReadRecord(p[0])
		if err != nil {
			return err
		}
		if r.State == slots.Armed {
			w.leave(r)
			w.Log.Error("update: it still waits to be tried, though this start was the one for it; the box does not restart for it again", "slot", w.Card.Running.Other().String())
			return nil
		}
		owner, err := readOwner(w.Owner)
		if err != nil {
			return err
		}
		h, err := r.Header(owner)
		if err == nil {
			w.Log.Info("update: the other slot holds what was tried before and does not run", "update", h.String())
		}
		return err
	}, w.Card.device(w.Card.Running.Other()))
}

// Run confirms a trial, or ends it, and restarts the box when an update waits,
// until the context is done. A boot partition that is overwritten by then is
// overwritten to the end, as long as the caller can wait: a box that is switched
// off in the middle does not start any more.
func (w *Watch) Run(ctx context.Context) {
	misbehave(ctx)
	began := time.Now()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for done := ctx.Done(); ; {
		select {
		case <-done:
			done = nil
		case <-tick.C:
			if !w.step(time.Now(), began) {
				return
			}
		}
		if done == nil && !w.Overwriting() {
			return
		}
	}
}

// OnTrial tells whether what runs is on trial, and will not run again unless it is
// found well.
func (w *Watch) OnTrial() bool { return w.onTrial.Load() }

// Overwriting tells whether the boot partition is being overwritten, or is
// overwritten in part.
func (w *Watch) Overwriting() bool { return w.overwriting.Load() }

// step looks once, and tells whether to look on.
func (w *Watch) step(now, began time.Time) bool {
	if w.confirmed {
		return w.settled(now)
	}
	if starts := w.Starts(); !w.Healthy() || starts != w.starts {
		w.since, w.starts = time.Time{}, starts
	} else if w.since.IsZero() {
		w.since = now
	}
	if !w.since.IsZero() && now.Sub(w.since) >= settle {
		err := w.confirm()
		if err == nil {
			return w.settled(now)
		}
		w.Log.Error("update: it is well, and cannot be confirmed", "err", err)
	}
	if now.Sub(began) >= limit {
		w.Restart("the update was not well in time; the box returns to what it was")
		return false
	}
	return true
}

// settled is a step once the slot that runs is selected.
func (w *Watch) settled(now time.Time) bool {
	if w.boot.pending {
		return w.completeBoot(now)
	}
	if w.armed() {
		w.Restart("an update waits to be tried")
		return false
	}
	return true
}

// confirm selects the slot that runs. It comes back when the guard is gone, which
// would restart the box in the middle of what follows: while the boot partition
// is overwritten it names no slot at all at times.
func (w *Watch) confirm() error {
	if err := w.selectRunning(); err != nil {
		return err
	}
	w.confirmed, w.boot.pending = true, true
	w.onTrial.Store(false)
	w.Log.Info("update: it is well and will run from now on", "slot", w.Card.Running.String())
	if pid, err := strconv.Atoi(os.Getenv(GuardEnv)); err == nil {
		if err := endGuard(pid, guardPatience); err != nil {
			w.Log.Error("update: the guard of the trial", "err", err)
		}
	}
	return nil
}

// completeBoot puts the boot partition that came with the running slot in place,
// when it is time to try. Only when there is nothing more to be written does the
// TSES hear that what runs is confirmed: who waits for that switches the box off
// then. Where something was written the restart comes first.
func (w *Watch) completeBoot(now time.Time) bool {
	if now.Before(w.boot.next) || !w.changeBoot(now) {
		return true
	}
	w.boot.pending = false
	if w.boot.written {
		w.Restart("the boot partition was changed")
		return false
	}
	err := w.selectRunning()
	if err == nil {
		err = w.open()
	}
	if err != nil {
		w.Log.Error("update: the next one will not be taken", "err", err)
	}
	return true
}

// changeBoot tries once to put the boot partition that came with the running slot
// in place, and tells whether that is settled: it is there, or there is none, or
// it is none that this card can have and the card's own stays. What was begun is
// tried again and again, since it can do no more harm than has been done.
func (w *Watch) changeBoot(now time.Time) bool {
	w.overwriting.Store(true)
	written, err := w.tryBoot()
	w.boot.written = w.boot.written || written
	w.overwriting.Store(err != nil && w.boot.written)
	if err == nil {
		return true
	}
	w.boot.tries++
	refused := slices.ContainsFunc(finalErrors, func(final error) bool { return errors.Is(err, final) })
	switch {
	case w.boot.written:
		w.Log.Error("update: the boot partition is overwritten in part, do not switch the box off; it is tried again", "tries", w.boot.tries, "err", err)
	case refused || w.boot.tries >= bootTries:
		w.Log.Error("update: the boot partition that came with what runs is not put in place; the card's own stays as it is", "err", err)
		return true
	default:
		w.Log.Error("update: the boot partition that came with what runs is not in place yet; it is tried again", "tries", w.boot.tries, "err", err)
	}
	w.boot.next = now.Add(bootEvery)
	return false
}

// finalErrors are those of a boot partition that no further try makes good.
var finalErrors = []error{slots.ErrBoot, slots.ErrRoom, slots.ErrReadBack, update.ErrSignature, update.ErrFormat, update.ErrOtherBox, update.ErrOlder}

// tryBoot is changeBoot's one try. written says that something was, with an error
// too.
func (w *Watch) tryBoot() (written bool, err error) {
	err = with(func(p []*slots.Partition) error {
		r, err := slots.ReadRecord(p[1])
		if errors.Is(err, slots.ErrNoRecord) {
			return nil
		}
		if err != nil {
			return err
		}
		o, err := readOwn(w.Owner)
		if err != nil {
			return err
		}
		h, err := o.judge(r)
		if err != nil {
			return err
		}
		change := slots.ChangeBoot
		if w.change != nil {
			change = w.change
		}
		written, err = change(p[0], p[1], h, w.Card.Running)
		return err
	}, w.Card.devices[bootPartition], w.Card.device(w.Card.Running))
	return written, err
}

// armed tells whether the other slot has an update that waits, that may be
// started, and that has come since the box started: one that was there before was
// not to be taken away, and a restart would change nothing. The TSES says that one
// waits; that it may be started is found out here, so that one that somebody has
// broken into does not restart the box for nothing.
func (w *Watch) armed() (is bool) {
	// What cannot be read is not started either.
	_ = with(func(p []*slots.Partition) error {
		r, err := slots.ReadRecord(p[0])
		if err != nil || r.State != slots.Armed {
			w.left = nil
			return err
		}
		if w.left != nil && bytes.Equal(r.Head, w.left) {
			return nil
		}
		w.left = nil
		o, err := readOwn(w.Owner)
		if err == nil {
			_, err = o.judge(r)
		}
		if is = err == nil; !is {
			w.leave(r)
			w.refuse(err)
		}
		return nil
	}, w.Card.device(w.Card.Running.Other()))
	return is
}

// leave notes that the box does not restart for what waits.
func (w *Watch) leave(r *slots.Record) { w.left = append([]byte{}, r.Head...) } // never nil

// maxRefused bounds the lines about what waits and may not be started: whoever has
// broken into the TSES can write another every moment.
const maxRefused = 16

func (w *Watch) refuse(err error) {
	if w.refused++; w.refused <= maxRefused {
		w.Log.Error("update: what waits in the other slot may not be started, and the box does not restart for it; the TSES has not judged it as it should", "slot", w.Card.Running.Other().String(), "err", err)
	}
}
