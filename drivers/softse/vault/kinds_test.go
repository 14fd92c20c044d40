//go:build unix

package vault

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cloud-of-se/tses/internal/statefile"
	"github.com/cloud-of-se/tses/internal/statefile/statefiletest"
)

// What stands in the place of a file is neither waited for nor followed, and an
// error of the vault says which file that is.
func TestKinds(t *testing.T) {
	dir := t.TempDir()
	key, state := filepath.Join(dir, "state.key"), filepath.Join(dir, "elements")
	start := func(use func(*File) error) error {
		k, err := LoadKey(key)
		if err != nil {
			return err
		}
		defer k.Wipe()
		f, err := Open(state, k, "soft1")
		if err != nil {
			return err
		}
		return errors.Join(use(f), f.Close())
	}
	load := func(f *File) error { _, err := f.Load(); return err }
	if err := start(func(f *File) error { return f.Save([]byte("state")) }); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		file string
		kind error // for what is no file, or too large
		mode error // for what others can read or write; nil: it is sealed
	}{
		{"state.key", ErrKeyFile, ErrKeyMode},
		{"state.key.lock", statefile.ErrKind, nil},
		{"elements/soft1.state", ErrDamaged, nil},
		{"elements/soft1.state.lock", statefile.ErrKind, nil},
		{"elements/ledger", ErrLedger, nil},
		{"elements/ledger.lock", statefile.ErrKind, nil},
	} {
		for _, kind := range statefiletest.Kinds() {
			t.Run(tt.file+"/"+kind.Name, func(t *testing.T) {
				defer kind.Put(t, filepath.Join(dir, tt.file))()
				want := kind.Err
				switch {
				case kind.Err == statefile.ErrKind:
					want = tt.kind
				case kind.Err == statefile.ErrMode:
					want = tt.mode
				case kind.Err == statefile.ErrSize:
					want = tt.kind
				}
				if lock := strings.HasSuffix(tt.file, ".lock"); lock && kind.Err == statefile.ErrSize {
					want = nil // it is cut to the number of a process
				} else if lock && (want == nil) {
					want = statefile.ErrNames // all of those are made by a link
				}
				done := make(chan error, 1)
				go func() { done <- start(load) }()
				select {
				case err := <-done:
					if (err == nil) != (want == nil) || !errors.Is(err, want) {
						t.Errorf("got %v, want %v", err, want)
					}
				case <-time.After(20 * time.Second):
					t.Fatal("it waits")
				}
			})
		}
	}
}
