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

// watchdog is the machine's, or nil where it has none.
type watchdog struct{ f *os.File }

// openWatchdog opens it before anybody else does: it can be open once. From
// then on it has to be fed.
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
	return &watchdog{f}
}

func (w *watchdog) feed() error {
	if w == nil {
		return nil
	}
	return unix.IoctlWatchdogKeepalive(int(w.f.Fd()))
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
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for !h.starves(time.Now()) && ctx.Err() == nil {
			hang()
			b.feed()
			<-tick.C
		}
		close(gone)
		for end := time.Now().Add(downTime + 10*time.Second); time.Now().Before(end); <-tick.C {
			b.feed()
		}
	}()
	return gone
}

func (b *box) feed() {
	if err := b.dog.feed(); err != nil {
		b.log.Error("hardware watchdog", "err", err)
	}
}
