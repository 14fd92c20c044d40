// Package image reads the image of an SD card, and makes what its packer left
// to chance the same every time.
//
// An image has a GUID partition table (UEFI specification, 5.3) with four
// partitions: boot (FAT16: firmware, kernel, cmdline.txt), two root file
// systems (SquashFS) of which one is in use, and /perm.
package image

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

var le = binary.LittleEndian

const sectorSize = 512

// The partitions, in their order.
const (
	Boot  = iota
	RootA // what a new card boots
	RootB
	Perm
	partitions
)

// ErrFormat says that something is not an image as this package knows them.
var ErrFormat = errors.New("no image of an SD card")

// Partition is a part of an image, in bytes.
type Partition struct{ Offset, Size int64 }

// Image is an open image. Close it.
type Image struct {
	file  *os.File
	parts [partitions]Partition
}

// Open opens an image. write says that it will be changed.
func Open(path string, write bool) (*Image, error) {
	flag := os.O_RDONLY
	if write {
		flag = os.O_RDWR
	}
	file, err := os.OpenFile(path, flag, 0)
	if err != nil {
		return nil, err
	}
	im := &Image{file: file}
	if im.parts, err = readTable(file); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), file.Close())
	}
	return im, nil
}

// Close closes the file.
func (im *Image) Close() error { return im.file.Close() }

// Sync writes what was changed to the disk.
func (im *Image) Sync() error { return im.file.Sync() }

// Partition returns the place of one.
func (im *Image) Partition(which int) Partition { return im.parts[which] }

// Section is a partition to read.
func (im *Image) Section(which int) *io.SectionReader {
	return io.NewSectionReader(im.file, im.parts[which].Offset, im.parts[which].Size)
}

// Writer is a partition to write, from its offset 0 on.
func (im *Image) Writer(which int) *io.OffsetWriter {
	return io.NewOffsetWriter(im.file, im.parts[which].Offset)
}

// Normalise sets all times in the boot partition and the root file system to t.
// They are those at which the packer wrote the files, and nobody needs them.
func (im *Image) Normalise(t time.Time) error {
	fat, err := openFAT(im.Section(Boot))
	if err != nil {
		return fmt.Errorf("boot partition: %w", err)
	}
	if err := fat.setTimes(im.Writer(Boot), t); err != nil {
		return fmt.Errorf("boot partition: %w", err)
	}
	if err := setSquashTimes(im.Section(RootA), im.Writer(RootA), t); err != nil {
		return fmt.Errorf("root file system: %w", err)
	}
	return nil
}

// BootFile reads a file of the boot partition. Its name has no directory.
func (im *Image) BootFile(name string) ([]byte, error) {
	fat, err := openFAT(im.Section(Boot))
	if err != nil {
		return nil, fmt.Errorf("boot partition: %w", err)
	}
	return fat.readFile(name)
}

// RootSize is how many bytes of its partition the root file system takes.
func (im *Image) RootSize() (int64, error) {
	super, err := readSquashSuper(im.Section(RootA))
	return super.bytesUsed, err
}

const (
	entryCount = 128
	entrySize  = 128
)

// readTable finds the partitions in the primary table.
func readTable(r io.ReaderAt) (parts [partitions]Partition, err error) {
	var header [sectorSize]byte
	if _, err := r.ReadAt(header[:], sectorSize); err != nil {
		return parts, fmt.Errorf("partition table: %w: %w", ErrFormat, err)
	}
	if string(header[:8]) != "EFI PART" || le.Uint32(header[80:]) > entryCount || le.Uint32(header[84:]) != entrySize {
		return parts, fmt.Errorf("partition table: %w", ErrFormat)
	}
	first := int64(le.Uint64(header[72:]))
	for i := range parts {
		var entry [entrySize]byte
		if first < 0 || first > 1<<32 {
			return parts, fmt.Errorf("partition table: entries at %d: %w", first, ErrFormat)
		}
		if _, err := r.ReadAt(entry[:], first*sectorSize+int64(i)*entrySize); err != nil {
			return parts, fmt.Errorf("partition table: %w: %w", ErrFormat, err)
		}
		start, end := le.Uint64(entry[32:]), le.Uint64(entry[40:]) // the end belongs to it
		if entry[0] == 0 || start == 0 || end < start || end > 1<<40 {
			return parts, fmt.Errorf("partition %d at %d to %d: %w", i+1, start, end, ErrFormat)
		}
		parts[i] = Partition{int64(start) * sectorSize, int64(end-start+1) * sectorSize}
	}
	return parts, nil
}
