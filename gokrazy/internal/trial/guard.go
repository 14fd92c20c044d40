//go:build linux

package trial

import (
	"log/slog"
	"os"
	"strconv"
	"time"

	"github.com/cloud-of-se/tses/gokrazy/slots"
)

// guardArg tells the init that is started with it that it is the guard.
const guardArg = "guard-of-a-trial"

// guard is the process that watches a trial from outside. args are the device
// of the boot partition and the slot that is tried.
func guard(args []string, log *slog.Logger) {
	if len(args) == 2 {
		if n, err := strconv.Atoi(args[1]); err == nil && confirmed(args[0], slots.Slot(n), time.Now().Add(guardTime), time.Second) {
			os.Exit(0)
		}
	}
	log.Error("update: it was not confirmed in time; the guard restarts the box", "after", guardTime)
	reboot()
	os.Exit(1)
}

// confirmed waits until the slot is selected, and tells whether it was before
// the deadline.
func confirmed(boot string, s slots.Slot, deadline time.Time, every time.Duration) bool {
	for time.Now().Before(deadline) {
		selected := false
		// What cannot be read now may be a moment later.
		_ = with(func(p []*slots.Partition) (err error) {
			selected, err = slots.Selects(p[0], s)
			return err
		}, boot)
		if selected {
			return true
		}
		time.Sleep(every)
	}
	return false
}
