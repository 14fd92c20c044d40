package devfile

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cloud-of-se/tses/internal/needs"
)

// role tells a process of a test what it is.
const (
	role   = "TSES_DEVFILE_ROLE"
	server = "server"
	client = "client"
)

// Private runs serve and use in a mount namespace of their own, whose /dev has
// nothing but null, zero, urandom and fuse besides what serve puts there. Each
// runs in a process of its own, which calls the test again: Go's runtime makes
// system calls on files that block the whole program, so none may serve a file
// and use it. Without root or /dev/fuse the test is skipped, or fails where
// TSES_TEST_ALL=1 asks for all tests.
func Private(t *testing.T, serve, use func(t *testing.T)) {
	t.Helper()
	switch os.Getenv(role) {
	case client:
		use(t)
	case server:
		if err := ownDev(); err != nil {
			t.Fatal(err)
		}
		serve(t)
		again(t, client, 0)
	default:
		missing := ""
		if os.Geteuid() != 0 {
			missing = "root"
		} else if _, err := os.Stat("/dev/fuse"); err != nil {
			missing = "/dev/fuse"
		}
		if missing != "" {
			needs.Missing(t, "needs "+missing)
		}
		again(t, server, syscall.CLONE_NEWNS)
	}
}

// again runs the test in another process.
func again(t *testing.T, as string, flags uintptr) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=40s")
	cmd.Env = append(os.Environ(), role+"="+as)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags, Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.CombinedOutput()
	t.Logf("the %s:\n%s", as, out)
	if err != nil {
		t.Errorf("the %s: %v", as, err)
	}
}

// ownDev replaces /dev in this process's namespace.
func ownDev() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("a mount namespace of its own: %w", err)
	}
	kept := map[string]int{}
	for _, name := range []string{"null", "zero", "urandom", "fuse"} {
		fd, err := unix.Open("/dev/"+name, unix.O_PATH|unix.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("/dev/%s: %w", name, err)
		}
		defer unix.Close(fd)
		kept[name] = fd
	}
	if err := unix.Mount("tmpfs", "/dev", "tmpfs", unix.MS_NOSUID, "size=1m"); err != nil {
		return fmt.Errorf("an empty /dev: %w", err)
	}
	for name, fd := range kept {
		path := "/dev/" + name
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			return err
		}
		if err := unix.Mount(fmt.Sprintf("/proc/self/fd/%d", fd), path, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return nil
}
