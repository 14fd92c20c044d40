package vault

import (
	"bytes"
	"errors"
	"io/fs"
	"testing"

	"github.com/cloud-of-se/tses/drivers/softse/internal/cutdisk"
)

// FuzzOpen opens a directory of arbitrary content. Whatever it is, it is an
// error or the state that was sealed, and memory is bounded by the files.
func FuzzOpen(f *testing.F) {
	d, key := cutdisk.New(), testKey(f)
	v, err := OpenOn(d, key, "soft1")
	if err != nil {
		f.Fatal(err)
	}
	mustSave(f, v, "one")
	sealed, ledger := d.Now["soft1.state"].Now, d.Now[ledgerName].Now
	f.Add(sealed, ledger)
	f.Add(sealed, []byte{})
	f.Add([]byte{}, ledger)
	f.Add(bytes.Repeat([]byte{0xFF}, headerSize+tagSize), bytes.Repeat([]byte{0xFF}, 3*pageSize))
	f.Add(sealed[:headerSize], ledger[:pageSize])
	f.Fuzz(func(t *testing.T, sealed, ledger []byte) {
		d := cutdisk.New()
		d.Now["soft1.state"], d.Now[ledgerName] = &cutdisk.Inode{Now: sealed}, &cutdisk.Inode{Now: ledger}
		v, err := OpenOn(d, key, "soft1")
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
