package vault

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cloud-of-se/tses/drivers/softse/internal/cutdisk"
)

func testKey(t testing.TB) *SecretKey {
	t.Helper()
	k, err := NewKey(bytes.Repeat([]byte{7}, KeySize))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func mustOpen(t testing.TB, dir string, key Key, seid string) *File {
	t.Helper()
	f, err := Open(dir, key, seid)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

func mustSave(t testing.TB, f *File, state string) {
	t.Helper()
	if err := f.Save([]byte(state)); err != nil {
		t.Fatal(err)
	}
}

func mustClose(t testing.TB, f *File) {
	t.Helper()
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func wantState(t testing.TB, f *File, want string) {
	t.Helper()
	got, err := f.Load()
	if err != nil || string(got) != want {
		t.Fatalf("got %.40q, %v, want %q", got, err, want)
	}
}

func TestSaveLoad(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	f := mustOpen(t, dir, testKey(t), "soft1")
	if got, err := f.Load(); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("Load of a new SE: got %q, %v, want fs.ErrNotExist", got, err)
	}
	for i := range 5 {
		mustSave(t, f, strings.Repeat(fmt.Sprint("state ", i), i*1000))
	}
	want := strings.Repeat("state 4", 4000)
	wantState(t, f, want)
	mustClose(t, f)
	if _, err := f.Load(); !errors.Is(err, ErrClosed) {
		t.Errorf("Load after Close: got %v, want ErrClosed", err)
	}
	if err := f.Save(nil); !errors.Is(err, ErrClosed) {
		t.Errorf("Save after Close: got %v, want ErrClosed", err)
	}
	f = mustOpen(t, dir, testKey(t), "soft1")
	wantState(t, f, want)
	mustSave(t, f, "")
	wantState(t, f, "")
}

func TestSizes(t *testing.T) {
	f := mustOpen(t, t.TempDir(), testKey(t), "soft1")
	big := string(make([]byte, MaxState))
	mustSave(t, f, big)
	wantState(t, f, big)
	if err := f.Save(make([]byte, MaxState+1)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("got %v, want ErrTooLarge", err)
	}
	wantState(t, f, big)
}

func TestNames(t *testing.T) {
	dir, key := t.TempDir(), testKey(t)
	for _, name := range []string{"a", "soft1", ".", "..", "-x", "A.b_c-9", "ledger", "a.state", "a.lock", "ledger.tmp", strings.Repeat("n", 64)} {
		f, err := Open(dir, key, name)
		if err != nil {
			t.Errorf("%q: %v", name, err)
			continue
		}
		mustSave(t, f, name)
		mustClose(t, f)
	}
	for _, name := range []string{"", "a/b", "../a", "a b", "ä", "a\x00", "a\\b", "\xff", strings.Repeat("n", 65)} {
		if f, err := Open(dir, key, name); !errors.Is(err, ErrName) {
			t.Errorf("%q: got %v, %v, want ErrName", name, f, err)
		}
	}
	for _, name := range []string{".", "..", "ledger", "a.state", "a.lock", "a", "ledger.tmp"} {
		wantState(t, mustOpen(t, dir, key, name), name)
	}
}

func TestModes(t *testing.T) {
	top := t.TempDir()
	dir := filepath.Join(top, "state")
	f := mustOpen(t, dir, testKey(t), "soft1")
	mustSave(t, f, "s")
	if _, err := LoadKey(filepath.Join(dir, "state.key")); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		want := fs.FileMode(0o600)
		if d.IsDir() {
			want = 0o700
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s: mode %04o, want %04o", path, info.Mode().Perm(), want)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	open := filepath.Join(top, "open")
	if err := errors.Join(os.Mkdir(open, 0o700), os.Chmod(open, 0o777)); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(open, testKey(t), "soft1"); !errors.Is(err, ErrDirMode) {
		t.Errorf("directory that all may write: got %v, want ErrDirMode", err)
	}
}

func TestLocked(t *testing.T) {
	dir, key := t.TempDir(), testKey(t)
	f := mustOpen(t, dir, key, "soft1")
	for what, err := range map[string]error{
		"Open":   func() error { _, err := Open(dir, key, "soft1"); return err }(),
		"Accept": Accept(dir, key, "soft1"),
		"Forget": Forget(dir, key, "soft1"),
	} {
		if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), fmt.Sprint("process ", os.Getpid())) {
			t.Errorf("%s: got %v, want ErrLocked with the pid", what, err)
		}
	}
	mustOpen(t, dir, key, "soft2") // another SE is another lock
	mustSave(t, f, "mine")
	mustClose(t, f)
	wantState(t, mustOpen(t, dir, key, "soft1"), "mine")
}

// TestManyInParallel has SEs listed while others save: none loses its place.
func TestManyInParallel(t *testing.T) {
	dir, key := t.TempDir(), testKey(t)
	t.Run("group", func(t *testing.T) {
		for i := range 8 {
			t.Run("", func(t *testing.T) {
				t.Parallel()
				f := mustOpen(t, dir, key, fmt.Sprint("soft", i))
				for j := range 10 {
					mustSave(t, f, fmt.Sprint(i, j))
				}
			})
		}
	})
	for i := range 8 {
		wantState(t, mustOpen(t, dir, key, fmt.Sprint("soft", i)), fmt.Sprint(i, 9))
	}
}

// TestReadOnly: a directory that cannot be written to changes nothing.
func TestReadOnly(t *testing.T) {
	dir := t.TempDir()
	f := mustOpen(t, dir, testKey(t), "soft1")
	mustSave(t, f, "old")
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	asNobody(t, func() {
		if err := f.Save([]byte("new")); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("got %v, want fs.ErrPermission", err)
		}
	})
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	wantState(t, f, "old")
	mustSave(t, f, "new")
	wantState(t, f, "new")
}

// TestLedgerGrows has more SEIDs than one page of header holds, and one too many.
func TestLedgerGrows(t *testing.T) {
	d, key := cutdisk.New(), testKey(t)
	name := func(i int) string { return fmt.Sprintf("%064d", i) }
	l, err := newLedger(d, key)
	if err != nil {
		t.Fatal(err)
	}
	names := make([]string, maxSEs-1)
	var pages []byte
	for i := range names {
		names[i] = name(i)
		pages = append(pages, l.encodePage(name(i), mark{absent: true})...)
		pages = append(pages, l.encodePage(name(i), mark{absent: true})...)
	}
	if err := replace(d, ledgerName, append(l.encodeHeader(names), pages...)); err != nil {
		t.Fatal(err)
	}
	for _, i := range []int{0, maxSEs / 2, maxSEs - 1} {
		f, err := OpenOn(d, key, name(i))
		if err != nil {
			t.Fatalf("SE %d: %v", i, err)
		}
		mustSave(t, f, name(i))
		wantState(t, f, name(i))
	}
	if n := len(d.Now[ledgerName].Now); n > maxLedger {
		t.Errorf("the full ledger has %d bytes and may have %d", n, maxLedger)
	}
	if _, err := OpenOn(d, key, "more"); err == nil || !strings.Contains(err.Error(), "full") {
		t.Errorf("got %v, want an error that says full", err)
	}
}
