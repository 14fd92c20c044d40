package vault

import (
	"errors"
	"fmt"
	"io/fs"
	"testing"

	"github.com/cloud-of-se/tses/drivers/softse/internal/cutdisk"
)

// scene is what a disk went through before the power was cut.
type scene struct {
	before string // the last state acknowledged before; "-" for none
	after  string // the state whose Save was cut
	acked  bool   // that Save returned nil
}

func (s scene) allows(state string) bool {
	return state == s.after || state == s.before && !s.acked
}

// loadState opens an SE and gives "-" for no state yet.
func loadState(d *cutdisk.Disk, key Key) (*File, string, error) {
	f, err := OpenOn(d, key, "soft1")
	if err != nil {
		return nil, "", err
	}
	b, err := f.Load()
	if errors.Is(err, fs.ErrNotExist) {
		return f, "-", nil
	}
	return f, string(b), err
}

// disks are where the tests begin: after a number of Saves, with other SEs or
// none, and with the remains of a write.
func disks(t *testing.T, key Key) map[string]func() (*cutdisk.Disk, string) {
	make := func(saves int, other bool, leftover string) func() (*cutdisk.Disk, string) {
		return func() (*cutdisk.Disk, string) {
			d, last := cutdisk.New(), "-"
			if other {
				f, err := OpenOn(d, key, "soft2")
				if err != nil {
					t.Fatal(err)
				}
				mustSave(t, f, "other")
				mustClose(t, f)
			}
			for i := range saves {
				last = fmt.Sprint("state ", i)
				f, err := OpenOn(d, key, "soft1")
				if err != nil {
					t.Fatal(err)
				}
				mustSave(t, f, last)
				mustClose(t, f)
			}
			if leftover != "" {
				if err := errors.Join(writeNew(d, leftover, []byte("half a")), d.SyncDir()); err != nil {
					t.Fatal(err)
				}
			}
			d.Calls, d.Trace = 0, nil
			return d, last
		}
	}
	return map[string]func() (*cutdisk.Disk, string){
		"fresh":               make(0, false, ""),
		"fresh beside other":  make(0, true, ""),
		"fresh with leftover": make(0, false, ledgerName+tempSuffix),
		"second save":         make(1, false, ""),
		"third save":          make(2, true, ""),
		"with leftover":       make(3, false, "soft1.state"+tempSuffix),
	}
}

// forEachFuture calls check with every disk that a cut now may leave.
func forEachFuture(d *cutdisk.Disk, check func(future int, after *cutdisk.Disk)) (n int) {
	n = d.Futures()
	for i := range n {
		check(i, d.Crash(i))
	}
	return n
}

// TestCutAtEveryCall opens and saves, with the power cut before each call to
// the disk, and looks at every disk that may be left.
func TestCutAtEveryCall(t *testing.T) {
	key, cuts := testKey(t), 0
	for name, start := range disks(t, key) {
		t.Run(name, func(t *testing.T) {
			for cut := 0; ; cut++ {
				d, before := start()
				d.CutAt = cut
				s := openAndSave(d, key, before)
				cuts += forEachFuture(d, func(future int, after *cutdisk.Disk) { checkAfter(t, key, s, after, d, future) })
				if !d.IsCut() {
					break
				}
			}
		})
	}
	t.Logf("%d cuts", cuts)
}

// openAndSave does it twice: the second Save of an open File takes another way
// than the first.
func openAndSave(d *cutdisk.Disk, key Key, before string) scene {
	s := scene{before: before, after: before}
	f, err := OpenOn(d, key, "soft1")
	for _, state := range []string{"new", "newer"} {
		if err != nil {
			return s
		}
		if s.acked {
			s.before = s.after
		}
		s.after = state
		err = f.Save([]byte(state))
		s.acked = err == nil
	}
	return s
}

// checkAfter looks at a disk after a cut: it opens with a state that the scene
// allows, stays with it, and goes on.
func checkAfter(t *testing.T, key Key, s scene, after, was *cutdisk.Disk, future int) {
	t.Helper()
	f, state, err := loadState(after, key)
	if err != nil {
		t.Fatalf("cut at call %d %v, future %d: a false alarm: %v", was.CutAt, was.Trace, future, err)
	}
	if !s.allows(state) {
		t.Fatalf("cut at call %d %v, future %d: got %q of %+v", was.CutAt, was.Trace, future, state, s)
	}
	mustSave(t, f, "next")
	mustClose(t, f)
	if _, state, err := loadState(after, key); err != nil || state != "next" {
		t.Fatalf("cut at call %d, future %d, then saved: got %q, %v", was.CutAt, future, state, err)
	}
}

// TestKilledThenCut kills the process before each call, which leaves the
// system running with writes that no sync followed; another process opens and
// saves, and the power is cut before each of its calls.
func TestKilledThenCut(t *testing.T) {
	key, cuts := testKey(t), 0
	for name, start := range disks(t, key) {
		if testing.Short() && name != "third save" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			for killed := 0; ; killed++ {
				first, before := start()
				first.CutAt = killed
				was := openAndSave(first, key, before)
				for cut := 0; ; cut++ {
					second := first.Kill()
					second.CutAt = cut
					s := was
					f, state, err := loadState(second, key)
					if err == nil {
						if !was.allows(state) {
							t.Fatalf("killed at %d: got %q of %+v", killed, state, was)
						}
						s = scene{before: state, after: "second"}
						s.acked = f.Save([]byte("second")) == nil
					} else if !second.IsCut() {
						t.Fatalf("killed at %d %v: a false alarm: %v", killed, first.Trace, err)
					}
					cuts += sampleFutures(second, func(future int, after *cutdisk.Disk) { checkAfter(t, key, s, after, second, future) })
					if !second.IsCut() {
						break
					}
				}
				if !first.IsCut() {
					break
				}
			}
		})
	}
	t.Logf("%d cuts", cuts)
}

// sampleFutures is forEachFuture with a stride where there are many.
func sampleFutures(d *cutdisk.Disk, check func(future int, after *cutdisk.Disk)) (n int) {
	all := d.Futures()
	stride := 1 + all/60
	if stride%2 == 0 || stride%cutdisk.Fates == 0 {
		stride++ // else whole classes would be left out
	}
	for i := 0; i < all; i += stride {
		check(i, d.Crash(i))
		n++
	}
	return n
}

// TestCutTwice cuts the recovery from a cut, at each call.
func TestCutTwice(t *testing.T) {
	key := testKey(t)
	start := disks(t, key)["third save"]
	for cut := 0; ; cut++ {
		d, before := start()
		d.CutAt = cut
		s := openAndSave(d, key, before)
		forEachFuture(d, func(future int, after *cutdisk.Disk) {
			for again := 0; ; again++ {
				r := after.Kill()
				r.CutAt = again
				if f, err := OpenOn(r, key, "soft1"); err == nil {
					mustClose(t, f)
				}
				forEachFuture(r, func(_ int, last *cutdisk.Disk) { checkAfter(t, key, s, last, r, future) })
				if !r.IsCut() {
					break
				}
			}
		})
		if !d.IsCut() {
			break
		}
	}
}

// TestOldFileAfterCut puts every earlier file back after a cut at each call:
// it passes only where it is the one that the scene allows.
func TestOldFileAfterCut(t *testing.T) {
	key := testKey(t)
	for cut := 0; ; cut++ {
		d := cutdisk.New()
		f, err := OpenOn(d, key, "soft1")
		if err != nil {
			t.Fatal(err)
		}
		var old []*cutdisk.Inode
		states := []string{"a", "b", "c", "d"}
		for _, s := range states {
			mustSave(t, f, s)
			old = append(old, d.Now["soft1.state"])
		}
		mustClose(t, f)
		d.Calls, d.Trace, d.CutAt = 0, nil, cut
		s := openAndSave(d, key, "d")
		forEachFuture(d, func(future int, after *cutdisk.Disk) {
			for i, o := range old {
				k := after.Kill()
				k.Now["soft1.state"] = o
				_, state, err := loadState(k, key)
				// Before the ledger has the new generation, the last file is
				// what a cut would have left, and was never superseded.
				if err == nil && (s.acked || s.before != "d" || i < len(old)-1) {
					t.Fatalf("cut at %d %v future %d: file %q passes as %q", cut, d.Trace, future, states[i], state)
				}
				if err != nil && !errors.Is(err, ErrRollback) && !errors.Is(err, ErrLedger) {
					t.Fatalf("cut at %d: got %v, want ErrRollback", cut, err)
				}
			}
		})
		if !d.IsCut() {
			break
		}
	}
}

// TestDecisionsCut cuts Accept and Forget at every call: the alarm goes on
// until the decision took effect, and the decision can be made again.
func TestDecisionsCut(t *testing.T) {
	key := testKey(t)
	for name, do := range map[string]func(*File) error{"accept": (*File).accept, "forget": (*File).forget} {
		want := map[string]string{"accept": "a", "forget": "-"}[name]
		t.Run(name, func(t *testing.T) {
			for cut := 0; ; cut++ {
				d := cutdisk.New()
				f, err := OpenOn(d, key, "soft1")
				if err != nil {
					t.Fatal(err)
				}
				mustSave(t, f, "a")
				old := d.Now["soft1.state"]
				mustSave(t, f, "b")
				mustClose(t, f)
				d.Now["soft1.state"], d.Durable["soft1.state"] = old, old
				d.Calls, d.CutAt = 0, cut
				acked := decideOn(d, key, do) == nil
				forEachFuture(d, func(future int, after *cutdisk.Disk) {
					_, state, err := loadState(after.Kill(), key)
					if err == nil && state != want || acked && err != nil {
						t.Fatalf("cut at %d, future %d: got %q, %v", cut, future, state, err)
					}
					if err := decideOn(after, key, do); err != nil {
						t.Fatalf("cut at %d, future %d, again: %v", cut, future, err)
					}
					if _, state, err := loadState(after, key); err != nil || state != want {
						t.Fatalf("cut at %d, future %d, again: got %q, %v", cut, future, state, err)
					}
				})
				if !d.IsCut() {
					break
				}
			}
		})
	}
}

func decideOn(d *cutdisk.Disk, key Key, do func(*File) error) error {
	f, err := startOn(d, key, "soft1")
	if err != nil {
		return err
	}
	return errors.Join(do(f), f.Close())
}

// TestKeyCut cuts the making of the key: what LoadKey returned is there to stay.
func TestKeyCut(t *testing.T) {
	const name = "state.key"
	same := func(cut int, d *cutdisk.Disk, want *SecretKey) {
		t.Helper()
		for future := range d.Futures() {
			got, err := loadKey(d.Crash(future), name, name)
			if err != nil {
				t.Fatalf("cut at %d, future %d: %v", cut, future, err)
			}
			if want != nil && *got != *want {
				t.Fatalf("cut at %d, future %d: another key", cut, future)
			}
		}
	}
	for cut := 0; ; cut++ {
		d := cutdisk.New()
		d.CutAt = cut
		k, err := loadKey(d, name, name)
		if err != nil {
			k = nil
		}
		same(cut, d, k)
		// Killed there, another process has the key, and then the power is cut.
		killed := d.Kill()
		k, err = loadKey(killed, name, name)
		if err != nil {
			t.Fatalf("killed at %d: %v", cut, err)
		}
		same(cut, killed, k)
		if !d.IsCut() {
			break
		}
	}
}
