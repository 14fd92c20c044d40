package ext4

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

func TestLabel(t *testing.T) {
	f, err := os.Open(format(t, MinSize, true))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if label, err := Label(f); label != "perm" || err != nil {
		t.Errorf("Label = %q, %v", label, err)
	}
	if bad, err := Errors(f); bad || err != nil {
		t.Errorf("Errors = %v, %v", bad, err)
	}
	if _, err := Label(bytes.NewReader(make([]byte, 8192))); !errors.Is(err, ErrNoSuperblock) {
		t.Errorf("zeros: %v, want ErrNoSuperblock", err)
	}
	if _, err := Label(bytes.NewReader(nil)); err == nil {
		t.Error("nothing has a label")
	}
}

// A file system whose first blocks were overwritten comes back with its files.
func TestRestoreSuperblock(t *testing.T) {
	debugfs, fsck := tool(t, "debugfs"), tool(t, "e2fsck")
	path := format(t, 200<<20, true)
	source := filepath.Join(t.TempDir(), "source")
	if err := os.WriteFile(source, bytes.Repeat([]byte("TSES"), 50_000), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(debugfs, "-w", "-R", "write "+source+" file", path).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := RestoreSuperblock(f); !errors.Is(err, ErrSound) {
		t.Errorf("a sound one: %v, want ErrSound", err)
	}
	if _, err := f.WriteAt(bytes.Repeat([]byte{0xA5}, blockSize), 0); err != nil {
		t.Fatal(err)
	}
	if err := RestoreSuperblock(f); err != nil {
		t.Fatal(err)
	}
	// It replays the journal and corrects the counts, as the kernel does.
	out, err := exec.Command(fsck, "-f", "-y", path).CombinedOutput()
	if exit := new(exec.ExitError); err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1) {
		t.Errorf("e2fsck: %v\n%s", err, out)
	}
	got, err := exec.Command(debugfs, "-R", "cat file", path).Output()
	if err != nil || len(got) != 200_000 {
		t.Errorf("the file has %d bytes, %v", len(got), err)
	}
	// The copy is damaged as well.
	if _, err := f.WriteAt([]byte{1}, blocksPerGroup*blockSize+0x80); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(make([]byte, blockSize), 0); err != nil {
		t.Fatal(err)
	}
	if err := RestoreSuperblock(f); !errors.Is(err, ErrNoSuperblock) {
		t.Errorf("without a copy: %v, want ErrNoSuperblock", err)
	}
}

// deaf is a disk that cannot be read where the first superblock is.
type deaf struct {
	*os.File
	t *testing.T
}

func (d deaf) ReadAt(b []byte, at int64) (int, error) {
	if at == superOffset {
		return 0, errDisk
	}
	return d.File.ReadAt(b, at)
}

func (d deaf) WriteAt(b []byte, at int64) (int, error) {
	d.t.Errorf("%d bytes are written at %d", len(b), at)
	return len(b), nil
}

// A superblock that cannot be read is not replaced: the next reading may
// succeed, and the copy is an older one.
func TestRestoreSuperblockUnread(t *testing.T) {
	f, err := os.Open(format(t, 200<<20, true))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := RestoreSuperblock(deaf{f, t}); !errors.Is(err, errDisk) {
		t.Errorf("got %v, want that it cannot be read", err)
	}
}

// The last part of the blocks is for root alone.
func TestReservedBlocks(t *testing.T) {
	path := format(t, 200<<20, true)
	out, err := exec.Command(tool(t, "dumpe2fs"), "-h", path).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{`Reserved block count: +2560\n`, `Reserved blocks uid: +0 `} {
		if !regexp.MustCompile(want).Match(out) {
			t.Errorf("want %q in\n%s", want, out)
		}
	}
}
