package boottest

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// program finds QEMU.
func program(t testing.TB) string {
	t.Helper()
	const name = "qemu-system-aarch64"
	path, err := exec.LookPath(name)
	if err != nil {
		missing(t, name+" is missing: apt-get install qemu-system-arm")
	}
	return path
}

// missing skips the test, or fails it where nothing may be missing.
func missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("TSES_TEST_ALL") == "1" {
		t.Fatal(what)
	}
	t.Skip(what)
}

// lock keeps other machines out until it is given free, or the test ends: each
// takes a whole processor or two, and what is timed would not be worth much.
func lock(ctx context.Context, t testing.TB) (free func()) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(os.TempDir(), "tses-boottest.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	free = sync.OnceFunc(func() { f.Close() })
	t.Cleanup(free)
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return free
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			t.Fatalf("lock %s: %v", f.Name(), err)
		}
		select {
		case <-time.After(20 * time.Millisecond): // others wait as well
		case <-ctx.Done():
			t.Fatalf("another test's machine runs: %v", ctx.Err())
		}
	}
}
