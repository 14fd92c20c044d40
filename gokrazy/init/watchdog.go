//go:build linux

package main

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// patience is how long the TSES may be without a heartbeat, while it starts or
// is started again, until the machine is restarted.
const patience = 4 * time.Minute

// dogTime is what is asked of the hardware: a Raspberry Pi's watchdog takes at
// most 15 s.
const dogTime = 15

// startTime is how long the start may take until guard feeds the watchdog: the
// journal of /perm is replayed, its superblock repaired or all of it made anew,
// the boot partition changed, on a slow card.
const startTime = 3 * time.Minute

// feedEvery is well below dogTime.
const feedEvery = time.Second

// watchdog is the machine's, or nil where it has none. It has one who feeds it:
// from its opening on a goroutine of its own, then guard.
type watchdog struct {
	keepAlive func() error
	log       *slog.Logger
	enough    chan struct{} // closed when another is to feed
	alone     chan struct{} // closed when the goroutine has ended
}

// openWatchdog opens it before anybody else does: it can be open once. From
// then on it has to be fed, which begins here.
func openWatchdog(log *slog.Logger) *watchdog {
	const path = "/dev/watchdog"
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		// The kernel mounts /dev by itself, as a rule.
		if err := unix.Mount("devtmpfs", "/dev", "devtmpfs", 0, ""); err != nil && !errors.Is(err, unix.EBUSY) {
			log.Error("devices", "err", err)
		}
		f, err = os.OpenFile(path, os.O_WRONLY, 0)
	}
	if err != nil {
		log.Warn("there is no hardware watchdog: an init that hangs is not ended", "err", err)
		return nil
	}
	if err := unix.IoctlSetPointerInt(int(f.Fd()), unix.WDIOC_SETTIMEOUT, dogTime); err != nil {
		log.Warn("the hardware watchdog has a time of its own", "err", err)
	}
	name := "unknown"
	if info, err := unix.IoctlGetWatchdogInfo(int(f.Fd())); err == nil {
		name = unix.ByteSliceToString(info.Identity[:])
	}
	log.Info("hardware watchdog", "name", name, "seconds", dogTime)
	return newWatchdog(func() error { return unix.IoctlWatchdogKeepalive(int(f.Fd())) }, log)
}

// newWatchdog feeds one for startTime, or until takeOver.
func newWatchdog(keepAlive func() error, log *slog.Logger) *watchdog {
	w := &watchdog{keepAlive, log, make(chan struct{}), make(chan struct{})}
	go func() {
		defer close(w.alone)
		tick := time.NewTicker(feedEvery)
		defer tick.Stop()
		for end := time.Now().Add(startTime); time.Now().Before(end); {
			w.feed()
			select {
			case <-w.enough:
				return
			case <-tick.C:
			}
		}
		log.Error("the start takes too long, the hardware watchdog ends it", "after", startTime)
	}()
	return w
}

// takeOver makes the caller the one who feeds. It is called once.
func (w *watchdog) takeOver() {
	if w != nil {
		close(w.enough)
		<-w.alone
	}
}

func (w *watchdog) feed() {
	if w == nil {
		return
	}
	if err := w.keepAlive(); err != nil {
		w.log.Error("hardware watchdog", "err", err)
	}
}

// hunger tells when the watchdog is not to be fed any more.
type hunger struct {
	healthy  func() bool
	patience time.Duration
	last     time.Time // when the TSES was well, or started
}

// starves is asked again and again.
func (h *hunger) starves(now time.Time) bool {
	if h.healthy() {
		h.last = now
	}
	return now.Sub(h.last) > h.patience
}

// guard feeds the watchdog while the TSES is well or may yet become so. It
// closes unwell when it may not. While the box goes down the watchdog is fed
// for as long as that may take.
func (b *box) guard(ctx context.Context) (unwell <-chan struct{}) {
	h := &hunger{healthy: b.daemon.Healthy, patience: patience, last: time.Now()}
	gone := make(chan struct{})
	go func() { // ends with the machine
		b.dog.takeOver()
		tick := time.NewTicker(feedEvery)
		defer tick.Stop()
		for !h.starves(time.Now()) && ctx.Err() == nil {
			hang()
			b.dog.feed()
			<-tick.C
		}
		close(gone)
		const rest = 10 * time.Second
		for down := time.Now(); ; <-tick.C {
			if took := time.Since(down); took > downTime+overwriteTime+rest || took > downTime+rest && !b.overwriting() {
				return
			}
			b.dog.feed()
		}
	}()
	return gone
}
