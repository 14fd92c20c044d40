package ext4

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cloud-of-se/tses/internal/needs"
)

var options = Options{
	UUID:     [16]byte{0x5c, 0x1e, 0x7a, 0x90, 0x11, 0x22, 0x43, 0x44, 0x85, 0x66, 1, 2, 3, 4, 5, 6},
	HashSeed: [16]byte{0x9d, 0x8c, 0x7b, 0x6a, 0x55, 0x44, 0x43, 0x32, 0x81, 0x10, 6, 5, 4, 3, 2, 1},
	Label:    "perm",
	Time:     time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC),
}

// format makes a file system in a file and returns its path.
func format(t *testing.T, size int64, zeroed bool) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "perm.img")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if !zeroed {
		if _, err := f.Write(bytes.Repeat([]byte{0xA5}, int(size))); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	o := options
	o.Size, o.Zeroed = size, zeroed
	if err := Format(f, o); err != nil {
		t.Fatal(err)
	}
	return path
}

// tool finds a program of Debian's e2fsprogs.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		path = "/usr/sbin/" + name // not in everybody's PATH
		if _, err = os.Stat(path); err != nil {
			needs.Missing(t, "needs "+name+": apt-get install e2fsprogs")
		}
	}
	return path
}

// The sizes have one group, a last group that is full, is left out, is small,
// has a copy of the superblock, and that of a card.
func TestFsck(t *testing.T) {
	fsck := tool(t, "e2fsck")
	group := int64(blocksPerGroup * blockSize)
	for _, size := range []int64{
		MinSize, MinSize + 4095, 100 << 20, group, 2 * group, 3*group + 100*blockSize, 2*group + 600*blockSize,
		group + 1000*blockSize, 966639 << 10, 8 << 30, 29<<30 + 12345,
	} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			out, err := exec.Command(fsck, "-f", "-n", format(t, size, true)).CombinedOutput()
			if err != nil {
				t.Errorf("e2fsck: %v\n%s", err, out)
			}
		})
	}
}

// What was there before must not show.
func TestFsckOverRubbish(t *testing.T) {
	path := format(t, 40<<20, false)
	if out, err := exec.Command(tool(t, "e2fsck"), "-f", "-n", path).CombinedOutput(); err != nil {
		t.Errorf("e2fsck: %v\n%s", err, out)
	}
}

// e2fsck is no judge if it does not see a damage.
func TestFsckSeesDamage(t *testing.T) {
	fsck := tool(t, "e2fsck")
	for name, at := range map[string]int64{
		"superblock's free blocks": superOffset + 0x0C, "descriptor": blockSize + 0x0C, "journal's superblock": -1,
	} {
		path := format(t, MinSize, true)
		if at < 0 {
			o := options
			o.Size = MinSize
			at = newLayout(o).journal*blockSize + 3
		}
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt([]byte{0x77}, at); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(fsck, "-f", "-n", path).CombinedOutput(); err == nil {
			t.Errorf("%s: e2fsck finds nothing:\n%s", name, out)
		}
	}
}

// Another program of e2fsprogs puts files in and reads them.
func TestDebugfs(t *testing.T) {
	debugfs, path := tool(t, "debugfs"), format(t, 32<<20, true)
	source := filepath.Join(t.TempDir(), "source")
	if err := os.WriteFile(source, bytes.Repeat([]byte("TSES"), 50_000), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, do := range []string{"mkdir tses", "write " + source + " tses/file"} {
		if out, err := exec.Command(debugfs, "-w", "-R", do, path).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", do, err, out)
		}
	}
	if out, err := exec.Command(tool(t, "e2fsck"), "-f", "-n", path).CombinedOutput(); err != nil {
		t.Errorf("e2fsck: %v\n%s", err, out)
	}
	out, err := exec.Command(debugfs, "-R", "cat tses/file", path).Output()
	if err != nil || len(out) != 200_000 {
		t.Errorf("the file comes back with %d bytes, %v, want 200000", len(out), err)
	}
}

func TestFormatIsDeterministic(t *testing.T) {
	var images [3][]byte
	for i, zeroed := range []bool{true, true, false} {
		var err error
		if images[i], err = os.ReadFile(format(t, MinSize, zeroed)); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(images[0], images[1]) {
		t.Error("two file systems of the same options differ")
	}
	// Free blocks keep what was in them.
	if end := 1000 * blockSize; !bytes.Equal(images[0][:end], images[2][:end]) {
		t.Error("metadata depend on what was there before")
	}
}

func TestFormatErrors(t *testing.T) {
	for _, size := range []int64{-1, 0, MinSize - 1, MaxSize + 1} {
		if err := Format(failing{}, Options{Size: size}); !errors.Is(err, ErrSize) {
			t.Errorf("size %d: %v, want ErrSize", size, err)
		}
	}
	if err := Format(failing{}, Options{Size: MinSize, Label: strings.Repeat("x", 17)}); err == nil {
		t.Error("a label of 17 bytes is taken")
	}
	for _, zeroed := range []bool{true, false} {
		if err := Format(failing{}, Options{Size: MinSize, Zeroed: zeroed}); !errors.Is(err, errDisk) {
			t.Errorf("on a broken disk: %v, want its error", err)
		}
	}
}

var errDisk = errors.New("disk on fire")

type failing struct{}

func (failing) WriteAt([]byte, int64) (int, error) { return 0, errDisk }

// The groups with copies of the superblock, from the kernel's documentation.
func TestHasSuper(t *testing.T) {
	want := map[int]bool{0: true, 1: true, 3: true, 5: true, 7: true, 9: true, 25: true, 27: true, 49: true, 81: true}
	for i := range 100 {
		if hasSuper(i) != want[i] {
			t.Errorf("hasSuper(%d) = %v", i, !want[i])
		}
	}
}
