package vault

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// BenchmarkSave is a Save beside the bare write, fsync, rename and fsync of the
// directory of the same bytes, and beside that with one more flush of a page,
// which is what the ledger costs.
func BenchmarkSave(b *testing.B) {
	for _, size := range []int{1 << 10, 16 << 10, 256 << 10, MaxState} {
		state := make([]byte, size)
		b.Run(fmt.Sprintf("vault/%d", size), func(b *testing.B) {
			f := mustOpen(b, b.TempDir(), testKey(b), "soft1")
			b.SetBytes(int64(size))
			for b.Loop() {
				if err := f.Save(state); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("bare/%d", size), func(b *testing.B) { benchBare(b, state, false) })
		b.Run(fmt.Sprintf("bare+page/%d", size), func(b *testing.B) { benchBare(b, state, true) })
		b.Run(fmt.Sprintf("seal/%d", size), func(b *testing.B) {
			s, err := newSealer(testKey(b), "soft1")
			if err != nil {
				b.Fatal(err)
			}
			var buf []byte
			b.SetBytes(int64(size))
			for b.Loop() {
				if buf, _, err = s.seal(buf[:0], state, 1, tag{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func benchBare(b *testing.B, state []byte, page bool) {
	dir := b.TempDir()
	name, temp := filepath.Join(dir, "state"), filepath.Join(dir, "temp")
	d, err := os.Open(dir)
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close() // opened for reading: nothing is lost by it
	ledger, err := os.Create(filepath.Join(dir, "page"))
	if err != nil {
		b.Fatal(err)
	}
	defer ledger.Close() // what matters was flushed
	one := make([]byte, pageSize)
	b.SetBytes(int64(len(state)))
	for b.Loop() {
		f, err := os.Create(temp)
		if err != nil {
			b.Fatal(err)
		}
		_, err = f.Write(state)
		err = errors.Join(err, f.Sync(), f.Close(), os.Rename(temp, name), d.Sync())
		if page && err == nil {
			_, err = ledger.WriteAt(one, 0)
			err = errors.Join(err, syncData(ledger))
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkOpen is opening and loading at the start.
func BenchmarkOpen(b *testing.B) {
	dir, key := b.TempDir(), testKey(b)
	f := mustOpen(b, dir, key, "soft1")
	mustSave(b, f, string(make([]byte, 16<<10)))
	mustClose(b, f)
	for b.Loop() {
		f, err := Open(dir, key, "soft1")
		if err != nil {
			b.Fatal(err)
		}
		if _, err := f.Load(); err != nil {
			b.Fatal(err)
		}
		if err := f.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
