package vault

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/cloud-of-se/tses/drivers/softse/internal/cutdisk"
)

// snapshot is the content of a state directory without its locks.
type snapshot map[string][]byte

func take(t testing.TB, dir string) snapshot {
	t.Helper()
	s := snapshot{}
	for _, pattern := range []string{"*.state", "ledger"} {
		paths, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range paths {
			b, err := os.ReadFile(p)
			if err != nil {
				t.Fatal(err)
			}
			s[filepath.Base(p)] = b
		}
	}
	return s
}

func put(t testing.TB, dir, name string, content []byte) {
	t.Helper()
	path := filepath.Join(dir, name)
	err := os.WriteFile(path, content, 0o600)
	if content == nil {
		err = os.Remove(path)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func saveOnce(t testing.TB, dir, seid, state string) snapshot {
	t.Helper()
	f := mustOpen(t, dir, testKey(t), seid)
	mustSave(t, f, state)
	mustClose(t, f)
	return take(t, dir)
}

func openErr(t testing.TB, dir string, key Key, seid string) error {
	t.Helper()
	f, err := Open(dir, key, seid)
	if err == nil {
		mustClose(t, f)
	}
	return err
}

// TestTampering is every way to change the directory behind the SE's back, its
// error, and what Accept makes of it.
func TestTampering(t *testing.T) {
	other, err := NewKey(bytes.Repeat([]byte{8}, KeySize))
	if err != nil {
		t.Fatal(err)
	}
	const file, file2 = "soft1.state", "soft2.state"
	tests := []struct {
		name   string
		key    Key
		tamper func(t *testing.T, dir string, one, two snapshot)
		want   error
		accept error  // nil where Accept makes it good
		state  string // then
	}{
		{"untouched", nil, func(*testing.T, string, snapshot, snapshot) {}, nil, nil, "two"},
		{"old file", nil, func(t *testing.T, dir string, one, _ snapshot) { put(t, dir, file, one[file]) }, ErrRollback, nil, "one"},
		{"deleted file", nil, func(t *testing.T, dir string, _, _ snapshot) { put(t, dir, file, nil) }, ErrMissing, fs.ErrNotExist, ""},
		{"file of another SE", nil, func(t *testing.T, dir string, _, two snapshot) { put(t, dir, file, two[file2]) }, ErrSwapped, ErrSwapped, ""},
		{"empty file", nil, func(t *testing.T, dir string, _, _ snapshot) { put(t, dir, file, []byte{}) }, ErrDamaged, ErrDamaged, ""},
		{"file cut short", nil, func(t *testing.T, dir string, _, two snapshot) { put(t, dir, file, two[file][:len(two[file])-1]) }, ErrDamaged, ErrDamaged, ""},
		{"file too long", nil, func(t *testing.T, dir string, _, _ snapshot) { put(t, dir, file, make([]byte, maxSealed+1)) }, ErrDamaged, ErrDamaged, ""},
		{"another key", other, func(*testing.T, string, snapshot, snapshot) {}, ErrDamaged, ErrDamaged, ""},
		{"deleted ledger", nil, func(t *testing.T, dir string, _, _ snapshot) { put(t, dir, ledgerName, nil) }, ErrLedger, nil, "two"},
		{"deleted file and ledger", nil, func(t *testing.T, dir string, _, _ snapshot) {
			put(t, dir, file, nil)
			put(t, dir, ledgerName, nil)
		}, ErrLedger, fs.ErrNotExist, ""},
		{"empty ledger", nil, func(t *testing.T, dir string, _, _ snapshot) { put(t, dir, ledgerName, []byte{}) }, ErrLedger, nil, "two"},
		{"old ledger without the SE", nil, func(t *testing.T, dir string, one, _ snapshot) { put(t, dir, ledgerName, one["first ledger"]) }, ErrLedger, nil, "two"},
		{"old ledger", nil, func(t *testing.T, dir string, one, _ snapshot) { put(t, dir, ledgerName, one[ledgerName]) }, ErrLedger, nil, "two"},
		{"both pages of the ledger gone", nil, func(t *testing.T, dir string, _, two snapshot) {
			l := bytes.Clone(two[ledgerName])
			clear(l[3*pageSize:])
			put(t, dir, ledgerName, l)
		}, ErrLedger, nil, "two"},
		{"deleted file, ledger's pages of another SE that has none", nil, func(t *testing.T, dir string, _, two snapshot) {
			mustClose(t, mustOpen(t, dir, testKey(t), "soft3"))
			l := take(t, dir)[ledgerName]
			copy(l[3*pageSize:5*pageSize], l[5*pageSize:])
			put(t, dir, ledgerName, l)
			put(t, dir, file, nil)
		}, ErrLedger, fs.ErrNotExist, ""},
		{"old file and newest page of the ledger gone", nil, func(t *testing.T, dir string, one, two snapshot) {
			l := bytes.Clone(two[ledgerName])
			clear(l[newestPage(t, l):][:pageSize])
			put(t, dir, ledgerName, l)
			put(t, dir, file, one[file])
		}, ErrRollback, nil, "one"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			var key Key = testKey(t)
			first := saveOnce(t, dir, "soft2", "other")
			one := saveOnce(t, dir, "soft1", "one")
			one["first ledger"] = first[ledgerName]
			saveOnce(t, dir, "soft1", "between")
			two := saveOnce(t, dir, "soft1", "two")
			tt.tamper(t, dir, one, two)
			if tt.key != nil {
				key = tt.key
			}
			for range 2 { // it does not go away by itself
				if err := openErr(t, dir, key, "soft1"); !errors.Is(err, tt.want) {
					t.Fatalf("Open: got %v, want %v", err, tt.want)
				} else if errors.Is(err, fs.ErrNotExist) {
					t.Fatalf("Open: %v says that there is no state yet", err)
				}
			}
			before := take(t, dir)
			if err := Accept(dir, key, "soft1"); !errors.Is(err, tt.accept) {
				t.Fatalf("Accept: got %v, want %v", err, tt.accept)
			}
			if tt.accept != nil {
				after := take(t, dir)
				for name := range before {
					if !bytes.Equal(before[name], after[name]) {
						t.Errorf("the refused Accept changed %s", name)
					}
				}
				return
			}
			wantState(t, mustOpen(t, dir, key, "soft1"), tt.state)
		})
	}
}

// newestPage is the offset of the page of the last SE with the higher
// generation.
func newestPage(t testing.TB, ledger []byte) int {
	t.Helper()
	a, b := len(ledger)-2*pageSize, len(ledger)-pageSize
	if bytes.Compare(ledger[a:a+8], ledger[b:b+8]) > 0 {
		return a
	}
	return b
}

// TestAcceptedForGood: after Accept, neither what it replaced nor the accepted
// file as it was passes.
func TestAcceptedForGood(t *testing.T) {
	dir, key := t.TempDir(), testKey(t)
	const file = "soft1.state"
	var old [][]byte
	for _, s := range []string{"1", "2", "3", "4", "5"} {
		old = append(old, saveOnce(t, dir, "soft1", s)[file])
	}
	put(t, dir, file, old[1])
	if err := Accept(dir, key, "soft1"); err != nil {
		t.Fatal(err)
	}
	if err := Accept(dir, key, "soft1"); err != nil { // nothing left to accept
		t.Fatal(err)
	}
	now := take(t, dir)[file]
	for i, b := range old {
		put(t, dir, file, b)
		if err := openErr(t, dir, key, "soft1"); !errors.Is(err, ErrRollback) {
			t.Errorf("state %d after Accept: got %v, want ErrRollback", i+1, err)
		}
	}
	put(t, dir, file, now)
	wantState(t, mustOpen(t, dir, key, "soft1"), "2")
}

func TestForget(t *testing.T) {
	dir, key := t.TempDir(), testKey(t)
	const file = "soft1.state"
	var old [][]byte
	for _, s := range []string{"1", "2", "3"} {
		old = append(old, saveOnce(t, dir, "soft1", s)[file])
	}
	saveOnce(t, dir, "soft2", "other")
	put(t, dir, file, nil)
	if err := Forget(dir, key, "soft1"); err != nil {
		t.Fatal(err)
	}
	for i, b := range old {
		put(t, dir, file, b)
		if err := openErr(t, dir, key, "soft1"); !errors.Is(err, ErrRollback) {
			t.Errorf("state %d after Forget: got %v, want ErrRollback", i+1, err)
		}
	}
	if err := Forget(dir, key, "soft1"); err != nil { // with a file there
		t.Fatal(err)
	}
	f := mustOpen(t, dir, key, "soft1")
	if _, err := f.Load(); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("got %v, want fs.ErrNotExist", err)
	}
	mustSave(t, f, "new life")
	mustClose(t, f)
	wantState(t, mustOpen(t, dir, key, "soft1"), "new life")
	wantState(t, mustOpen(t, dir, key, "soft2"), "other")
}

// TestForgetLostLedger: a lost ledger is not covered up while another SE needs it.
func TestForgetLostLedger(t *testing.T) {
	dir, key := t.TempDir(), testKey(t)
	saveOnce(t, dir, "soft1", "1")
	saveOnce(t, dir, "soft2", "2")
	put(t, dir, ledgerName, []byte("gone"))
	if err := Forget(dir, key, "soft1"); !errors.Is(err, ErrLedger) {
		t.Fatalf("got %v, want ErrLedger", err)
	}
	for _, seid := range []string{"soft3", "soft1"} {
		if err := openErr(t, dir, key, seid); !errors.Is(err, ErrLedger) {
			t.Fatalf("Open %s: got %v, want ErrLedger", seid, err)
		}
	}
	if err := Accept(dir, key, "soft2"); err != nil {
		t.Fatal(err)
	}
	if err := Forget(dir, key, "soft1"); err != nil {
		t.Fatal(err)
	}
	wantState(t, mustOpen(t, dir, key, "soft2"), "2")
	if _, err := mustOpen(t, dir, key, "soft1").Load(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want fs.ErrNotExist", err)
	}
}

// TestFork: a file that was never acknowledged does not pass once another took
// its generation.
func TestFork(t *testing.T) {
	dir, key := t.TempDir(), testKey(t)
	const file = "soft1.state"
	one := saveOnce(t, dir, "soft1", "one")
	fork := saveOnce(t, dir, "soft1", "fork")
	next := saveOnce(t, dir, "soft1", "fork of fork")
	for name, b := range one { // as if fork's Save had been cut before the ledger, and one put back
		put(t, dir, name, b)
	}
	saveOnce(t, dir, "soft1", "two")
	for _, s := range []snapshot{fork, next} {
		put(t, dir, file, s[file])
		if err := openErr(t, dir, key, "soft1"); !errors.Is(err, ErrRollback) {
			t.Errorf("got %v, want ErrRollback", err)
		}
	}
}

// TestDeletedBeforeFirstRecord: the first state is deleted after a cut that
// tore the page which was to tell of it.
func TestDeletedBeforeFirstRecord(t *testing.T) {
	d, key := cutdisk.New(), testKey(t)
	f, err := OpenOn(d, key, "soft1")
	if err != nil {
		t.Fatal(err)
	}
	mustSave(t, f, "one")
	mustClose(t, f)
	clear(d.Now[ledgerName].Now[newestPage(t, d.Now[ledgerName].Now):][:8])
	delete(d.Now, "soft1.state")
	if f, err := OpenOn(d, key, "soft1"); !errors.Is(err, ErrMissing) {
		t.Errorf("got %v, %v, want ErrMissing", f, err)
	}
}

// TestEachByte flips every byte of both files. The sealed file is refused. So
// is the ledger, but for the one page whose loss a cut explains; then the
// state is the right one.
func TestEachByte(t *testing.T) {
	d, key := cutdisk.New(), testKey(t)
	f, err := OpenOn(d, key, "soft1")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{"one", "two", "three"} {
		mustSave(t, f, s)
	}
	mustClose(t, f)
	newest := newestPage(t, d.Now[ledgerName].Now)
	step := 1
	if testing.Short() {
		step = 7
	}
	for _, name := range []string{"soft1.state", ledgerName} {
		good := d.Now[name].Now
		for i := 0; i < len(good); i += step {
			bad := bytes.Clone(good)
			bad[i] ^= 1 << (i % 8)
			k := d.Kill()
			k.Now[name].Now = bad
			f, err := OpenOn(k, key, "soft1")
			excused := name == ledgerName && i >= newest && i < newest+pageSize
			if (err == nil) != excused {
				t.Fatalf("%s with byte %d changed: opens with %v", name, i, err)
			}
			if excused {
				wantState(t, f, "three")
			}
		}
	}
}
