//go:build linux

package trial

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cloud-of-se/tses/gokrazy/slots"
)

// guardArg tells the init that is started with it that it is the guard.
const guardArg = "guard-of-a-trial"

// guard is the process that watches a trial from outside. args are the device
// of the boot partition and the slot that is tried.
func guard(args []string, log *slog.Logger) {
	if len(args) == 2 {
		if n, err := strconv.Atoi(args[1]); err == nil && confirmed(args[0], slots.Slot(n), time.Now().Add(guardTime), guardEvery) {
			os.Exit(0)
		}
	}
	log.Error("update: it was not confirmed in time; the guard restarts the box", "after", guardTime)
	reboot()
	os.Exit(1)
}

// confirmed waits until the slot is selected, and tells whether it was before
// the deadline. It looks once more behind it: the moment in which the boot
// partition could not be read, or the process did not run, may have been the last.
func confirmed(boot string, s slots.Slot, deadline time.Time, every time.Duration) bool {
	for {
		last := !time.Now().Before(deadline)
		selected := false
		// What cannot be read now may be a moment later.
		_ = with(func(p []*slots.Partition) (err error) {
			selected, err = slots.Selects(p[0], s)
			return err
		}, boot)
		if selected || last {
			return selected
		}
		time.Sleep(min(every, time.Until(deadline)))
	}
}

// endGuard waits for the guard, which sees within a second that its work is done,
// and ends it where it does not see it in time. When it returns the guard
// restarts nothing any more. The guard is no child that this init has started: it
// is that of the process which has become this init, and nobody else waits for it.
func endGuard(pid int, patience time.Duration) error {
	if awaitEnd(pid, patience) {
		return nil
	}
	// A process that the signal has reached runs not one instruction more, even
	// where it is not gone yet because it waits for the card.
	if err := unix.Kill(pid, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("end process %d: %w", pid, err)
	}
	if !awaitEnd(pid, patience) {
		return fmt.Errorf("process %d was ended and is not gone yet", pid)
	}
	return nil
}

// awaitEnd waits for a child, at most so long, and tells whether it has ended.
func awaitEnd(pid int, patience time.Duration) bool {
	for deadline := time.Now().Add(patience); ; time.Sleep(guardPoll) {
		var status unix.WaitStatus
		got, err := unix.Wait4(pid, &status, unix.WNOHANG, nil)
		switch {
		case err != nil && !errors.Is(err, unix.EINTR), got == pid:
			return true // an error says that there is no such child
		case !time.Now().Before(deadline):
			return false
		}
	}
}
