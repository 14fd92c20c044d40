//go:build amd64 || arm64

package confine

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Enter confines the process. The first call does not return unless it fails:
// the program begins anew, with the same arguments, and its call returns what
// was applied. What the kernel does not have is in the report; that the user
// cannot be changed, or privileges could come back, is an error.
func Enter(r Rules) (Cage, error) {
	if said, ok := os.LookupEnv(reportEnv); ok {
		return finish(said)
	}
	program, err := os.Executable()
	if err != nil {
		return Cage{}, fmt.Errorf("confine: %w", err)
	}
	// Never unlocked: whatever happens, no goroutine may run on a thread that
	// has given up a part of its rights.
	runtime.LockOSThread()
	h := handover{Files: make(map[string]int)}
	for _, path := range r.Open {
		fd, err := unix.Open(path, unix.O_RDWR|unix.O_SYNC, 0) // and not closed when the program is executed
		h.Report.add("open "+path, err)
		if err == nil {
			h.Files[path] = fd
		}
	}
	if err := giveUp(r, program, &h.Report); err != nil {
		return Cage{}, fmt.Errorf("confine: %w", err)
	}
	said, err := json.Marshal(h)
	if err != nil {
		return Cage{}, fmt.Errorf("confine: %w", err)
	}
	err = syscall.Exec(program, os.Args, append(os.Environ(), reportEnv+"="+string(said)))
	return Cage{}, fmt.Errorf("confine: execute %s again: %w", program, err)
}

// Begun tells whether the first step was made, in whose program this one begins
// anew: Enter looks at no rules any more.
func Begun() bool {
	_, ok := os.LookupEnv(reportEnv)
	return ok
}

// finish is the second step.
func finish(said string) (Cage, error) {
	var h handover
	if err := json.Unmarshal([]byte(said), &h); err != nil {
		return Cage{}, fmt.Errorf("confine: %s: %w", reportEnv, err)
	}
	if err := os.Unsetenv(reportEnv); err != nil {
		return Cage{}, fmt.Errorf("confine: %w", err)
	}
	c := Cage{Report: h.Report, Files: make(map[string]*os.File)}
	for path, fd := range h.Files {
		unix.CloseOnExec(fd)
		c.Files[path] = os.NewFile(uintptr(fd), path)
	}
	// Neither a debugger nor a file of its memory may show the keys in it.
	c.Report.add("no core dumps, no debugger", unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0))
	c.Report.add("system calls (seccomp)", filterSyscalls(filter()))
	return c, nil
}

// Settle is for a process that has entered, and listens on all that it is going
// to: from then on it listens on nothing else, and no socket gets an address of
// its own. To connect, where the rules allow it, takes neither.
func Settle() Report {
	var report Report
	report.add("no further listeners (seccomp)", filterSyscalls(lastFilter()))
	return report
}

// giveUp is the first step, on this thread.
func giveUp(r Rules, program string, report *Report) error {
	files, err := newRuleset(r, program)
	if err != nil {
		return err
	}
	defer files.close()
	if os.Geteuid() == 0 { // from who is not, no execution takes more than they have
		report.add("capability bounding set", dropBounding(r.Keep))
	}
	if err := changeUser(r, report); err != nil {
		return err
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("no_new_privs: %w", err)
	}
	report.add("no new privileges", nil)
	files.restrict(report)
	return nil
}

// dropBounding empties the set of capabilities that an execution can give.
func dropBounding(keep []int) error {
	for c := 0; c <= unix.CAP_LAST_CAP; c++ {
		if contains(keep, c) {
			continue
		}
		// The kernel may be older than the list.
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(c), 0, 0, 0); err != nil && err != unix.EINVAL {
			return fmt.Errorf("capability %d: %w", c, err)
		}
	}
	return nil
}

func contains(all []int, c int) bool {
	for _, a := range all {
		if a == c {
			return true
		}
	}
	return false
}

// changeUser changes this thread alone, by the bare system calls: those of
// package syscall would change all threads.
func changeUser(r Rules, report *Report) error {
	if r.UID != 0 || r.GID != 0 {
		if err := unix.Prctl(unix.PR_SET_KEEPCAPS, 1, 0, 0, 0); err != nil {
			return fmt.Errorf("keep capabilities: %w", err)
		}
		if err := furtherGroups(r.Groups); err != nil {
			return err
		}
		gid, uid := uintptr(r.GID), uintptr(r.UID)
		if _, _, e := unix.RawSyscall(unix.SYS_SETRESGID, gid, gid, gid); e != 0 {
			return fmt.Errorf("group %d: %w", r.GID, e)
		}
		if _, _, e := unix.RawSyscall(unix.SYS_SETRESUID, uid, uid, uid); e != 0 {
			return fmt.Errorf("user %d: %w", r.UID, e)
		}
		report.add(fmt.Sprintf("user %d, group %d", r.UID, r.GID), nil)
	}
	return keepCapabilities(r.Keep, report)
}

func furtherGroups(groups []int) error {
	list := make([]uint32, len(groups)+1) // one more, so that there is a first
	for i, g := range groups {
		list[i] = uint32(g)
	}
	if _, _, e := unix.RawSyscall(unix.SYS_SETGROUPS, uintptr(len(groups)), uintptr(unsafe.Pointer(&list[0])), 0); e != 0 {
		return fmt.Errorf("further groups %v: %w", groups, e)
	}
	return nil
}

// keepCapabilities gives up all capabilities but those, which are then passed
// on to the program that is executed.
func keepCapabilities(keep []int, report *Report) error {
	var sets [2]unix.CapUserData
	for _, c := range keep {
		bit := uint32(1) << (c % 32)
		s := &sets[c/32]
		s.Permitted, s.Effective, s.Inheritable = s.Permitted|bit, s.Effective|bit, s.Inheritable|bit
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	if err := unix.Capset(&header, &sets[0]); err != nil {
		return fmt.Errorf("capabilities: %w", err)
	}
	for _, c := range keep {
		if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, uintptr(c), 0, 0); err != nil {
			return fmt.Errorf("keep capability %d: %w", c, err)
		}
	}
	what := "no capabilities"
	if len(keep) > 0 {
		what = fmt.Sprintf("no capabilities but %v", keep)
	}
	report.add(what, nil)
	return nil
}
