// Package vmlock lets the emulated machines of tests take turns: each takes a
// whole processor or two, and what is timed would not be worth much.
package vmlock

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// Take waits until no other test has a machine, in this process and in others,
// and keeps them out until free is called or the test ends. Who waits longest
// is next. How long it waits, the test's own time limit bounds.
func Take(t testing.TB) (free func()) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(os.TempDir(), "tses-machine.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	// To close it gives the lock free, or takes back that it was asked for.
	free = sync.OnceFunc(func() { _ = f.Close() })
	locked := make(chan error, 1)
	go func() {
		err := lock(f)
		if t.Context().Err() != nil {
			free() // the test has ended while it waited
		}
		locked <- err
	}()
	select {
	case err = <-locked:
	case <-t.Context().Done():
		err = t.Context().Err()
	}
	if err != nil {
		t.Fatal(fmt.Errorf("wait for other tests' machines: lock %s: %w", f.Name(), err))
	}
	t.Cleanup(free)
	return free
}
