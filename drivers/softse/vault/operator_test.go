package vault

import (
	"errors"
	"io/fs"
	"slices"
	"testing"
)

// An SE that was never there is not forgotten: its name would stay in the ledger.
func TestForgetUnknown(t *testing.T) {
	dir, key := t.TempDir(), testKey(t)
	if err := Forget(dir, key, "sotf1"); !errors.Is(err, ErrUnknown) {
		t.Errorf("in an empty directory: %v, want ErrUnknown", err)
	}
	saveOnce(t, dir, "soft1", "one")
	if err := Forget(dir, key, "sotf1"); !errors.Is(err, ErrUnknown) {
		t.Errorf("beside another: %v, want ErrUnknown", err)
	}
	if names, err := Names(dir); err != nil || !slices.Equal(names, []string{"soft1"}) {
		t.Errorf("Names: %q, %v", names, err)
	}
	wantState(t, mustOpen(t, dir, key, "soft1"), "one")
}

func TestRename(t *testing.T) {
	dir, key := t.TempDir(), testKey(t)
	saveOnce(t, dir, "old", "one")
	saved := saveOnce(t, dir, "old", "two")["old.state"]
	saveOnce(t, dir, "other", "mine")
	for to, want := range map[string]error{"other": ErrTaken, "old": ErrTaken, "../x": ErrName} {
		if err := Rename(dir, key, "old", to); !errors.Is(err, want) {
			t.Errorf("to %s: %v, want %v", to, err, want)
		}
	}
	if err := Rename(dir, key, "none", "new"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of none: %v, want fs.ErrNotExist", err)
	}
	if err := Rename(dir, key, "old", "new"); err != nil {
		t.Fatal(err)
	}
	if names, err := Names(dir); err != nil || !slices.Equal(names, []string{"new", "other"}) {
		t.Errorf("Names: %q, %v", names, err)
	}
	wantState(t, mustOpen(t, dir, key, "new"), "two")
	wantState(t, mustOpen(t, dir, key, "other"), "mine")
	// There are never two of it.
	put(t, dir, "old.state", saved)
	if err := openErr(t, dir, key, "old"); !errors.Is(err, ErrRollback) {
		t.Errorf("the old file put back: %v, want ErrRollback", err)
	}
}
