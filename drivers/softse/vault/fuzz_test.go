package vault

import (
	"bytes"
	"errors"
	"io/fs"
	"testing"
)

// FuzzOpen opens a directory of arbitrary content. Whatever it is, it is an
// error or the state that was sealed, and memory is bounded by the files.
func FuzzOpen(f *testing.F) {
	d, key := newSimDisk(), testKey(f)
	v, err := simOpen(d, key, "soft1")
	if err != nil {
		f.Fatal(err)
	}
	mustSave(f, v, "one")
	sealed, ledger := d.now["soft1.state"].now, d.now[ledgerName].now
	f.Add(sealed, ledger)
	f.Add(sealed, []byte{})
	f.Add([]byte{}, ledger)
	f.Add(bytes.Repeat([]byte{0xFF}, headerSize+tagSize), bytes.Repeat([]byte{0xFF}, 3*pageSize))
	f.Add(sealed[:headerSize], ledger[:pageSize])
	f.Fuzz(func(t *testing.T, sealed, ledger []byte) {
		d := newSimDisk()
		d.now["soft1.state"], d.now[ledgerName] = &inode{now: sealed}, &inode{now: ledger}
		v, err := simOpen(d, key, "soft1")
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%v says that there is no state yet", err)
			}
			return
		}
		wantState(t, v, "one")
		mustSave(t, v, "two")
		wantState(t, v, "two")
	})
}

// FuzzNames gives the list of a header, which is authentic when it is read, to
// its parser all the same.
func FuzzNames(f *testing.F) {
	f.Add([]byte("\x05soft1\x05soft2\x00"), 2)
	f.Add([]byte("\xff"), 1)
	f.Add([]byte{}, 1)
	f.Fuzz(func(t *testing.T, b []byte, count int) {
		names, ok := splitNames(b, count%(maxSEs+1))
		if !ok && names != nil {
			t.Errorf("got %q beside a refusal", names)
		}
		for _, n := range names {
			if err := checkName(n); err != nil {
				t.Error(err)
			}
		}
	})
}
