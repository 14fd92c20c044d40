// Package slotstest makes boot partitions for the tests of updates.
package slotstest

import (
	"encoding/binary"
	"path"
	"strings"
	"testing"
)

// fatDisk makes a FAT16 file system as the packer does: one FAT, clusters of
// four sectors, files in one piece, names long and short.
type fatDisk struct {
	b    []byte
	next uint16            // free cluster
	dirs map[string]uint16 // cluster of each directory; 0 is the root's
	used map[string]int    // entries in it
}

const (
	sector      = 512
	fatReserved = 4 * sector
	fatTable    = 2 * sector
	fatRoot     = fatReserved + fatTable
	fatData     = fatRoot + 2*sector
	fatCluster  = 4 * sector
	fatClusters = 40
)

// The texts of the boot files, as the packer writes them. They name slot A.
const (
	KernelArgs = "console=tty1 console=serial0,115200 root=PARTUUID=60c24cc1-f3f9-427a-8199-484e4bf20001/PARTNROFF=1 init=/gokrazy/init rootwait panic=10 oops=panic                                                                "
	LoaderText = "title gokrazy\nlinux /vmlinuz\noptions " + KernelArgs
)

// UsualBoot is a boot partition as a card has it.
func UsualBoot(t testing.TB) []byte {
	t.Helper()
	return BootPartition(t, "/vmlinuz", strings.Repeat("kernel", 1000), "/cmdline.txt", KernelArgs, "/loader/entries/gokrazy.conf", LoaderText)
}

// BootPartition is one with these files: path, content, path, content...
func BootPartition(t testing.TB, files ...string) []byte {
	t.Helper()
	d := &fatDisk{make([]byte, fatData+fatClusters*fatCluster), 2, map[string]uint16{"/": 0}, map[string]int{}}
	le := binary.LittleEndian
	le.PutUint16(d.b[11:], sector)
	d.b[13] = fatCluster / sector
	le.PutUint16(d.b[14:], fatReserved/sector)
	d.b[16] = 1
	le.PutUint16(d.b[17:], 2*sector/32)
	le.PutUint16(d.b[22:], fatTable/sector)
	for i := 0; i < len(files); i += 2 {
		d.mkdir(path.Dir(files[i]))
		d.entry(files[i], 0, d.store([]byte(files[i+1])), len(files[i+1]))
	}
	return d.b
}

// store puts content into clusters.
func (d *fatDisk) store(content []byte) (first uint16) {
	first = d.next
	copy(d.b[fatData+int(first-2)*fatCluster:], content)
	n := uint16(len(content)/fatCluster + 1)
	for i := range n {
		link := first + i + 1
		if i == n-1 {
			link = 0xFFFF
		}
		binary.LittleEndian.PutUint16(d.b[fatReserved+2*int(first+i):], link)
	}
	d.next += n
	return first
}

func (d *fatDisk) mkdir(dir string) {
	if _, ok := d.dirs[dir]; ok {
		return
	}
	d.mkdir(path.Dir(dir))
	d.dirs[dir] = d.store(nil)
	d.entry(dir, 0x10, d.dirs[dir], 0)
}

// entry adds a name to its directory, in a long and a short form.
func (d *fatDisk) entry(name string, attr byte, cluster uint16, size int) {
	dir, base := path.Split(name)
	dir = path.Clean(dir)
	var long, short [32]byte
	long[0], long[11] = 0x41, 0x0F
	for i, at := range []int{1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30} {
		if i < len(base) {
			long[at] = base[i]
		} else if i > len(base) {
			long[at], long[at+1] = 0xFF, 0xFF
		}
	}
	stem, ext, _ := strings.Cut(base, ".")
	copy(short[:], "           ")
	copy(short[:8], stem)
	copy(short[8:11], ext)
	short[11] = attr
	binary.LittleEndian.PutUint16(short[26:], cluster)
	binary.LittleEndian.PutUint32(short[28:], uint32(size))
	at := fatRoot
	if c := d.dirs[dir]; c != 0 {
		at = fatData + int(c-2)*fatCluster
	}
	for _, e := range [][32]byte{long, short} {
		copy(d.b[at+32*d.used[dir]:], e[:])
		d.used[dir]++
	}
}
