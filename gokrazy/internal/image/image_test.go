package image

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf16"
)

// Where the small image of these tests has its partitions, in sectors.
const (
	bootAt, bootSectors = 64, 64
	rootAt, rootSectors = 128, 16
	permAt              = 160
	imageSectors        = 192
)

// newImage is a small image: a FAT16 with a directory and a file that has a
// long name and two clusters that are not in a row, a SquashFS of which one
// inode reaches over the end of a metadata block.
func newImage() []byte {
	im := make([]byte, imageSectors*sectorSize)
	header := im[sectorSize:]
	copy(header, "EFI PART")
	le.PutUint64(header[72:], 2)
	le.PutUint32(header[80:], entryCount)
	le.PutUint32(header[84:], entrySize)
	for i, p := range [][2]uint64{{bootAt, bootSectors}, {rootAt, rootSectors}, {rootAt + rootSectors, 16}, {permAt, 16}} {
		entry := im[2*sectorSize+i*entrySize:]
		entry[0] = 1
		le.PutUint64(entry[32:], p[0])
		le.PutUint64(entry[40:], p[0]+p[1]-1)
	}
	newFAT(im[bootAt*sectorSize:])
	newSquash(im[rootAt*sectorSize:])
	return im
}

var content = strings.Repeat("kernel ", 100) // two clusters

func newFAT(b []byte) {
	le.PutUint16(b[11:], sectorSize)
	b[13] = 1                // sectors of a cluster
	le.PutUint16(b[14:], 1)  // reserved
	b[16] = 1                // FATs
	le.PutUint16(b[17:], 16) // entries of the root directory: one sector
	le.PutUint16(b[22:], 1)  // sectors of the FAT
	table, root := b[512:], b[1024:]
	cluster := func(n int) []byte { return b[1536+(n-2)*512:] }
	for n, next := range map[int]uint16{2: 0xFFFF, 3: 5, 5: 0xFFFF} {
		le.PutUint16(table[2*n:], next)
	}
	slot := func(at []byte, name string, attr byte, cluster uint16, size int) {
		copy(at, name)
		at[11] = attr
		le.PutUint16(at[22:], 0x1234)
		le.PutUint16(at[24:], 0x5678)
		le.PutUint16(at[26:], cluster)
		le.PutUint32(at[28:], uint32(size))
	}
	slot(root, "CARD       ", attrVolume, 0, 0)
	slot(root[32:], "\xE5LD     TXT", 0, 9, 1) // removed
	slot(root[64:], "OVERLAYS   ", attrDir, 2, 0)
	slot(cluster(2), ".          ", attrDir, 2, 0)
	slot(cluster(2)[32:], "..         ", attrDir, 0, 0)
	long := cluster(2)[64:]
	long[0], long[11] = 0x41, attrLongName
	for i, c := range append(utf16.Encode([]rune("vmlinuz.long")), 0) {
		at := 1 + 2*i
		if i >= 5 {
			at = 14 + 2*(i-5)
		}
		if i >= 11 {
			at = 28 + 2*(i-11)
		}
		le.PutUint16(long[at:], c)
	}
	slot(cluster(2)[96:], "VMLINU~1LON", 0, 3, len(content))
	copy(cluster(3), content[:512])
	copy(cluster(5), content[512:])
}

func newSquash(b []byte) {
	inode := func(kind uint16, size int) []byte {
		i := make([]byte, size)
		le.PutUint16(i, kind)
		le.PutUint32(i[8:], 0xABABABAB)
		return i
	}
	file, link := inode(inodeFile, 32+8), inode(inodeLink, 24+5)
	le.PutUint32(file[20:], noFragment)
	le.PutUint32(file[28:], squashBlockSize+1) // two blocks
	le.PutUint32(link[20:], 5)
	inodes := bytes.Join([][]byte{inode(inodeDir, 32), file, link, inode(inodeLargeDir, 40)}, nil)
	// The first metadata block ends in the time of the third inode.
	at, cut := squashSuperSize, 32+40+10
	for _, part := range [][]byte{inodes[:cut], inodes[cut:]} {
		le.PutUint16(b[at:], uint16(len(part))|uncompressed)
		copy(b[at+2:], part)
		at += 2 + len(part)
	}
	le.PutUint32(b[0:], squashMagic)
	le.PutUint32(b[4:], 4)
	le.PutUint32(b[8:], 0xABABABAB)
	le.PutUint32(b[12:], squashBlockSize)
	le.PutUint16(b[28:], 4)
	le.PutUint64(b[40:], 4096)
	le.PutUint64(b[64:], squashSuperSize)
	le.PutUint64(b[72:], uint64(at))
}

func open(t testing.TB, content []byte) (*Image, string, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "card.img")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	im, err := Open(path, true)
	if err == nil {
		t.Cleanup(func() { im.Close() })
	}
	return im, path, err
}

func TestNormalise(t *testing.T) {
	moment := time.Date(2026, 5, 4, 3, 2, 2, 0, time.UTC)
	before := newImage()
	im, path, err := open(t, before)
	if err != nil {
		t.Fatal(err)
	}
	if err := im.Normalise(moment); err != nil {
		t.Fatal(err)
	}
	after, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(after, []byte{0xAB, 0xAB}); n != 0 {
		t.Errorf("%d times of the root file system are as they were", n)
	}
	if n := bytes.Count(after, le.AppendUint32(nil, uint32(moment.Unix()))); n != 4 { // one is cut in two
		t.Errorf("the time is in the root file system %d times, want 4", n)
	}
	// 2026-05-04 is 46<<9|5<<5|4, 03:02:02 is 3<<11|2<<5|1.
	if n := bytes.Count(after, []byte{0x41, 0x18, 0xA4, 0x5C}); n < 5 {
		t.Errorf("the time is in the boot partition %d times, want 5 entries", n)
	}
	for _, at := range []int{bootAt*sectorSize + 1024 + 32 + 22, bootAt*sectorSize + 1536 + 64 + 22} {
		if !bytes.Equal(before[at:at+4], after[at:at+4]) {
			t.Errorf("a removed entry, or a part of a name, was changed at %d", at)
		}
	}
	if err := im.Normalise(moment); err != nil {
		t.Fatal(err)
	}
	again, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(after, again) {
		t.Errorf("a second time changes something, %v", err)
	}
	if got, err := im.BootFile("overlays/VMLINUZ.long"); err != nil || string(got) != content {
		t.Errorf("the file comes back as %.20q, %v", got, err)
	}
}

func TestImage(t *testing.T) {
	im, _, err := open(t, newImage())
	if err != nil {
		t.Fatal(err)
	}
	if got, want := im.Partition(Perm), (Partition{permAt * sectorSize, 16 * sectorSize}); got != want {
		t.Errorf("/perm is at %v, want %v", got, want)
	}
	if size, err := im.RootSize(); err != nil || size != 4096 {
		t.Errorf("RootSize = %d, %v, want 4096", size, err)
	}
	if _, err := im.BootFile("none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is not there: %v, want ErrNotExist", err)
	}
}

// What is broken is refused, and the error says which part it is.
func TestBrokenImages(t *testing.T) {
	boot, root := bootAt*sectorSize, rootAt*sectorSize
	for _, tt := range []struct {
		name, want string
		at         int
		value      []byte
	}{
		{"no table", "partition table", sectorSize, []byte("X")},
		{"a partition that ends before it begins", "partition 1", 2*sectorSize + 40, []byte{0, 0}},
		{"entries far away", "partition table", sectorSize + 72, bytes.Repeat([]byte{0xFF}, 8)},
		{"no FAT", "boot partition", boot + 11, []byte{0, 0}},
		{"a cluster beyond the FAT", "boot partition", boot + 1024 + 64 + 26, []byte{0xF0, 0xFE}},
		{"a directory in itself", "boot partition", boot + 1536 + 96 + 11, []byte{attrDir, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0}},
		{"directories that contain each other", "boot partition", boot + 1536, bytes.Repeat(append([]byte("A          \x10"), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0), 16)},
		{"no SquashFS", "root file system", root, []byte("X")},
		{"compressed inodes", "root file system", root + squashSuperSize + 1, []byte{0}},
		{"an unknown inode", "root file system", root + squashSuperSize + 2, []byte{99}},
		{"more inodes than there are", "root file system", root + 4, []byte{5}},
	} {
		b := newImage()
		copy(b[tt.at:], tt.value)
		im, _, err := open(t, b)
		if err == nil {
			err = im.Normalise(time.Unix(0, 0))
		}
		if !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want ErrFormat and %q", tt.name, err, tt.want)
		}
	}
}

// FuzzImage changes an image at three places.
func FuzzImage(f *testing.F) {
	f.Add(uint32(bootAt*sectorSize+1024), byte(0xE5), uint32(0), byte(0), uint32(rootAt*sectorSize+98), byte(3))
	path := filepath.Join(f.TempDir(), "card.img")
	f.Fuzz(func(t *testing.T, at1 uint32, v1 byte, at2 uint32, v2 byte, at3 uint32, v3 byte) {
		b := newImage()
		b[at1%uint32(len(b))], b[at2%uint32(len(b))], b[at3%uint32(len(b))] = v1, v2, v3
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		im, err := Open(path, true)
		if err != nil {
			return
		}
		defer im.Close()
		if err := im.Normalise(time.Unix(1e9, 0)); err != nil && !errors.Is(err, ErrFormat) {
			t.Errorf("Normalise: %v, which is not ErrFormat", err)
		}
		if _, err := im.BootFile("overlays/vmlinuz.long"); err != nil && !errors.Is(err, ErrFormat) && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("BootFile: %v", err)
		}
	})
}
