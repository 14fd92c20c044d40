//go:build linux

package trial

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cloud-of-se/tses/gokrazy/slots"
	"github.com/cloud-of-se/tses/update"
)

const (
	initPath   = "/gokrazy/init"
	mountPoint = "/tmp" // on the read-only root; nothing is mounted there yet
)

// GuardEnv is the environment variable that an update's init has on its one
// start on trial: the number of the process that guards it.
const GuardEnv = "TSES_TRIAL_GUARD"

// Enter is the first thing that init does, before it mounts or starts anything.
// If an update waits to be tried, it does not come back: the process becomes the
// update's init. Nor does it in the process that is the guard. Else it returns
// the card, or why nothing is known of it; updates do not work then, and all
// else does. ownerFile holds the certificate of the owner's CA; beside it stand the
// box's name and when this root file system was built.
func Enter(ownerFile string, log *slog.Logger) (*Card, error) {
	if len(os.Args) > 1 && os.Args[1] == guardArg {
		guard(os.Args[2:], log) // does not return
	}
	if err := mountEarly(); err != nil {
		return nil, err
	}
	c, err := Find()
	if err != nil {
		return nil, err
	}
	if c.Trial() {
		log.Warn("update: this root file system is on trial", "slot", c.Running.String())
		return c, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), consumeTime)
	defer cancel()
	h, err := c.consume(ctx, ownerFile)
	switch {
	case errors.Is(err, slots.ErrNotDue):
	case err != nil:
		log.Error("update: it waits to be tried, and is not: the box stays what it is", "err", err)
	default:
		log.Warn("update: it is tried for this one start", "update", h.String(), "slot", c.Running.Other().String())
		err := c.become(log)
		log.Error("update: it cannot be started: the box stays what it is", "err", err)
	}
	return c, nil
}

// mountEarly mounts what Find needs. What is mounted already, by the kernel or
// here, is left so by those that come later.
func mountEarly() error {
	for _, m := range []struct{ kind, dir string }{{"devtmpfs", "/dev"}, {"proc", "/proc"}, {"sysfs", "/sys"}} {
		if err := unix.Mount(m.kind, m.dir, m.kind, 0, ""); err != nil && !errors.Is(err, unix.EBUSY) {
			return fmt.Errorf("mount %s: %w", m.dir, err)
		}
	}
	return nil
}

// consume takes the one start of the other slot.
func (c *Card) consume(ctx context.Context, ownerFile string) (h *update.Header, err error) {
	err = with(func(p []*slots.Partition) error {
		// Without an update there is no need for the owner's key to be there.
		if r, err := slots.ReadRecord(p[0]); err != nil || r.State != slots.Armed {
			return slots.ErrNotDue
		}
		o, err := readOwn(ownerFile)
		if err != nil {
			return err
		}
		h, err = slots.Consume(ctx, p[0], o.owner, o.runs)
		return err
	}, c.device(c.Running.Other()))
	return h, err
}

// become makes this process the init of the other slot. It returns only where
// it has changed nothing.
func (c *Card) become(log *slog.Logger) error {
	if err := unix.Mount(c.device(c.Running.Other()), mountPoint, "squashfs", unix.MS_RDONLY, ""); err != nil {
		return fmt.Errorf("mount the other root file system: %w", err)
	}
	g, err := c.startGuard()
	if err != nil {
		return errors.Join(err, unix.Unmount(mountPoint, 0))
	}
	if err := startWatchdog(); err != nil {
		// Not every machine has one, and the guard remains.
		log.Warn("update: no hardware watchdog watches the trial", "err", err)
	}
	err = moveInto(mountPoint)
	if err == nil {
		env := append(os.Environ(), GuardEnv+"="+strconv.Itoa(g.Pid))
		err = fmt.Errorf("exec: %w", unix.Exec(initPath, []string{initPath}, env))
	}
	// Half of the way there is nothing to go on with, and nothing to lose.
	log.Error("update: it cannot be started; the box restarts", "err", err)
	reboot()
	return err
}

// moveInto makes what is mounted the root of this process.
func moveInto(dir string) error {
	if err := unix.Chdir(dir); err != nil {
		return fmt.Errorf("chdir %s: %w", dir, err)
	}
	if err := unix.Mount(".", "/", "", unix.MS_MOVE, ""); err != nil {
		return fmt.Errorf("move %s to /: %w", dir, err)
	}
	if err := unix.Chroot("."); err != nil {
		return fmt.Errorf("chroot: %w", err)
	}
	if err := unix.Chdir("/"); err != nil {
		return fmt.Errorf("chdir /: %w", err)
	}
	return nil
}

// startWatchdog starts the hardware watchdog, and leaves it running: a device
// that is closed without the letter V goes on.
func startWatchdog() error {
	f, err := os.OpenFile("/dev/watchdog", os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close() // the letter is not written
	return unix.IoctlSetPointerInt(int(f.Fd()), unix.WDIOC_SETTIMEOUT, int(watchdogTime/time.Second))
}

// startGuard starts the process that restarts the machine unless the update is
// confirmed.
func (c *Card) startGuard() (*os.Process, error) {
	cmd := exec.Command("/proc/self/exe", guardArg, c.devices[bootPartition], strconv.Itoa(int(c.Running.Other())))
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("guard of the trial: %w", err)
	}
	return cmd.Process, nil
}

// reboot restarts the machine at once.
func reboot() {
	unix.Sync()
	// Without the right to it there is nothing that could be done instead.
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART)
}
