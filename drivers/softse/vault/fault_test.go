package vault

import (
	"errors"
	"fmt"
	"io/fs"
	"testing"

	"github.com/cloud-of-se/tses/drivers/softse/internal/cutdisk"
)

// TestFaultAtEveryCall has each call fail once, with and without effect, as a
// full disk and a broken one do. The File stays of use, no matter what.
func TestFaultAtEveryCall(t *testing.T) {
	key := testKey(t)
	for name, start := range disks(t, key) {
		for _, kind := range []struct{ effect, lose bool }{{false, false}, {true, false}, {true, true}} {
			t.Run(fmt.Sprint(name, kind), func(t *testing.T) {
				for fault := 0; ; fault++ {
					d, before := start()
					d.FaultAt, d.Effect, d.Lose = fault, kind.effect, kind.lose
					faultOnce(t, d, key, before)
					if d.Calls <= fault {
						break
					}
				}
			})
		}
	}
}

func faultOnce(t *testing.T, d *cutdisk.Disk, key Key, before string) {
	t.Helper()
	f, err := OpenOn(d, key, "soft1")
	if err != nil { // the next one settles it
		if !errors.Is(err, cutdisk.ErrFault) {
			t.Fatalf("fault at %d %v: %v", d.FaultAt, d.Trace, err)
		}
		if f, err = OpenOn(d, key, "soft1"); err != nil {
			t.Fatalf("fault at %d %v: Open after it: %v", d.FaultAt, d.Trace, err)
		}
	}
	s := scene{before: before, after: "new"}
	err = f.Save([]byte("new"))
	s.acked = err == nil
	if err != nil && !errors.Is(err, cutdisk.ErrFault) {
		t.Fatalf("fault at %d %v: %v", d.FaultAt, d.Trace, err)
	}
	forEachFuture(d, func(future int, after *cutdisk.Disk) { checkAfter(t, key, s, after, d, future) })
	// What Load finds after the fault is there to stay.
	b, err := f.Load()
	state := string(b)
	if errors.Is(err, fs.ErrNotExist) {
		state, err = "-", nil
	}
	if err != nil || !s.allows(state) {
		t.Fatalf("fault at %d %v: Load: got %q, %v of %+v", d.FaultAt, d.Trace, state, err, s)
	}
	forEachFuture(d, func(future int, after *cutdisk.Disk) {
		checkAfter(t, key, scene{before: state, after: state, acked: true}, after, d, future)
	})
	err = f.Save([]byte("newer"))
	if err != nil && !errors.Is(err, cutdisk.ErrFault) {
		t.Fatalf("fault at %d %v: Save after it: %v", d.FaultAt, d.Trace, err)
	}
	forEachFuture(d, func(future int, after *cutdisk.Disk) {
		checkAfter(t, key, scene{before: state, after: "newer", acked: err == nil}, after, d, future)
	})
}
