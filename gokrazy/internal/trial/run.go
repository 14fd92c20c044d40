//go:build linux

package trial

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cloud-of-se/tses/gokrazy/sdcard"
	"github.com/cloud-of-se/tses/gokrazy/slots"
)

// Watch is what init does about updates while the TSES runs.
type Watch struct {
	Card *Card
	// Owner is the file with the certificate of the owner's CA.
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

	confirmed bool
	since     time.Time // when the TSES was found well, without a break since
	starts    int       // how often it had been started then
}

// Prepare is called before the TSES is started. Where this start is no trial it
// makes the boot files agree on the slot that runs, lets the TSES write the
// other, and completes a change of the boot partition that was cut short.
func (w *Watch) Prepare() error {
	if w.Card.Trial() {
		return w.tell()
	}
	w.confirmed = true
	err := with(func(p []*slots.Partition) error { return slots.Select(p[0], w.Card.Running) }, w.Card.devices[bootPartition])
	if err != nil {
		// An update now could overwrite what another boot loader starts.
		return fmt.Errorf("update: the boot partition: %w", err)
	}
	if _, err := w.changeBoot(); err != nil {
		w.Log.Error("update: the change of the boot partition is not complete", "err", err)
	}
	w.sayLast()
	return w.open()
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

// sayLast says in the log if an update was tried and taken back.
func (w *Watch) sayLast() {
	// What cannot be read was no update.
	_ = with(func(p []*slots.Partition) error {
		r, err := slots.ReadRecord(p[0])
		if err != nil || r.State != slots.Tried {
			return err
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
// until the context is done.
func (w *Watch) Run(ctx context.Context) {
	misbehave(ctx)
	began := time.Now()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if !w.step(time.Now(), began) {
			return
		}
	}
}

// step looks once, and tells whether to look on.
func (w *Watch) step(now, began time.Time) bool {
	if w.confirmed {
		if w.armed() {
			w.Restart("an update waits to be tried")
			return false
		}
		return true
	}
	if starts := w.Starts(); !w.Healthy() || starts != w.starts {
		w.since, w.starts = time.Time{}, starts
	} else if w.since.IsZero() {
		w.since = now
	}
	if !w.since.IsZero() && now.Sub(w.since) >= settle {
		changed, err := w.confirm()
		switch {
		case err != nil:
			w.Log.Error("update: it is well, and cannot be confirmed", "err", err)
		case changed:
			w.Restart("the boot partition was changed")
			return false
		default:
			return true
		}
	}
	if now.Sub(began) >= limit {
		w.Restart("the update was not well in time; the box returns to what it was")
		return false
	}
	return true
}

// confirm selects the slot that runs. changed says that the boot partition is
// another now.
func (w *Watch) confirm() (changed bool, err error) {
	err = with(func(p []*slots.Partition) error { return slots.Select(p[0], w.Card.Running) }, w.Card.devices[bootPartition])
	if err != nil {
		return false, err
	}
	w.confirmed = true
	w.Log.Info("update: it is well and will run from now on", "slot", w.Card.Running.String())
	w.reapGuard()
	if err := w.open(); err != nil {
		w.Log.Error("update: the next one will not be taken", "err", err)
	}
	return w.changeBoot()
}

// changeBoot puts the boot partition that came with the running slot in place.
func (w *Watch) changeBoot() (changed bool, err error) {
	err = with(func(p []*slots.Partition) error {
		r, err := slots.ReadRecord(p[1])
		if errors.Is(err, slots.ErrNoRecord) {
			return nil
		}
		if err != nil {
			return err
		}
		owner, err := readOwner(w.Owner)
		if err != nil {
			return err
		}
		h, err := r.Header(owner)
		if err != nil {
			return err
		}
		changed, err = slots.ChangeBoot(p[0], p[1], h, w.Card.Running)
		return err
	}, w.Card.devices[bootPartition], w.Card.device(w.Card.Running))
	return changed, err
}

// armed tells whether the other slot has an update that waits.
func (w *Watch) armed() (is bool) {
	// What cannot be read is not started either.
	_ = with(func(p []*slots.Partition) error {
		r, err := slots.ReadRecord(p[0])
		is = err == nil && r.State == slots.Armed
		return err
	}, w.Card.device(w.Card.Running.Other()))
	return is
}

// reapGuard waits for the guard, which sees within a second that its work is
// done. It is no child that this init has started, and nobody else waits for it.
func (w *Watch) reapGuard() {
	pid, err := strconv.Atoi(os.Getenv(guardEnv))
	if err != nil {
		return
	}
	go func() { // ends with the guard, at the latest after guardTime
		var status unix.WaitStatus
		for {
			if _, err := unix.Wait4(pid, &status, 0, nil); !errors.Is(err, unix.EINTR) {
				return
			}
		}
	}()
}
