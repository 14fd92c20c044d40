package image

import (
	"fmt"
	"io"
	"time"
)

// squashSuper is what is needed of the superblock of a SquashFS 4.0
// (Documentation/filesystems/squashfs).
type squashSuper struct {
	inodes                int
	inodeTable, directory int64
	bytesUsed             int64
}

const (
	squashMagic     = 0x73717368
	squashSuperSize = 96
	squashBlockSize = 128 << 10 // of data
	uncompressed    = 0x8000    // in the header of a metadata block
	maxMetadata     = 64 << 20
)

func readSquashSuper(r io.ReaderAt) (squashSuper, error) {
	var b [squashSuperSize]byte
	if _, err := r.ReadAt(b[:], 0); err != nil {
		return squashSuper{}, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	s := squashSuper{
		inodes:     int(le.Uint32(b[4:])),
		bytesUsed:  int64(le.Uint64(b[40:])),
		inodeTable: int64(le.Uint64(b[64:])),
		directory:  int64(le.Uint64(b[72:])),
	}
	if le.Uint32(b[0:]) != squashMagic || le.Uint16(b[28:]) != 4 || le.Uint32(b[12:]) != squashBlockSize {
		return s, fmt.Errorf("no SquashFS: %w", ErrFormat)
	}
	if s.inodeTable < squashSuperSize || s.directory < s.inodeTable || s.directory-s.inodeTable > maxMetadata {
		return s, fmt.Errorf("inodes at %d to %d: %w", s.inodeTable, s.directory, ErrFormat)
	}
	return s, nil
}

// setSquashTimes sets the time of the file system and those of its inodes. The
// packer does not compress the inodes, so that they can be changed in place.
func setSquashTimes(r *io.SectionReader, w io.WriterAt, t time.Time) error {
	s, err := readSquashSuper(r)
	if err != nil {
		return err
	}
	seconds := le.AppendUint32(nil, uint32(t.Unix()))
	if _, err := w.WriteAt(seconds, 8); err != nil {
		return err
	}
	table := make([]byte, s.directory-s.inodeTable)
	if _, err := r.ReadAt(table, s.inodeTable); err != nil {
		return fmt.Errorf("inodes: %w: %w", ErrFormat, err)
	}
	// places[i] is where byte i of the inodes, which run on from one metadata
	// block to the next, is in the table.
	var inodes []byte
	var places []int
	for at := 0; at < len(table); {
		if at+2 > len(table) || le.Uint16(table[at:])&uncompressed == 0 {
			return fmt.Errorf("metadata at %d: compressed or cut: %w", at, ErrFormat)
		}
		size := int(le.Uint16(table[at:]) &^ uncompressed)
		at += 2
		if at+size > len(table) {
			return fmt.Errorf("metadata at %d: %w", at, ErrFormat)
		}
		for i := range size {
			places = append(places, at+i)
		}
		inodes = append(inodes, table[at:at+size]...)
		at += size
	}
	at := 0
	for range s.inodes {
		size, err := inodeSize(inodes[at:])
		if err != nil {
			return fmt.Errorf("inode at %d: %w", at, err)
		}
		for i, b := range seconds {
			table[places[at+8+i]] = b
		}
		at += size
	}
	_, err = w.WriteAt(table, s.inodeTable)
	return err
}

// The inodes that the packer writes.
const (
	inodeDir      = 1
	inodeFile     = 2
	inodeLink     = 3
	inodeLargeDir = 8

	noFragment = 0xFFFFFFFF
)

// inodeSize is how many bytes the inode has that b begins with.
func inodeSize(b []byte) (size int, err error) {
	least := map[uint16]int{inodeDir: 32, inodeFile: 32, inodeLink: 24, inodeLargeDir: 40}
	if len(b) < 16 {
		return 0, ErrFormat
	}
	kind := le.Uint16(b)
	size, ok := least[kind]
	if !ok || len(b) < size {
		return 0, fmt.Errorf("type %d: %w", kind, ErrFormat)
	}
	switch kind {
	case inodeFile:
		if le.Uint32(b[20:]) != noFragment {
			return 0, fmt.Errorf("a file with a fragment: %w", ErrFormat)
		}
		length := int64(le.Uint32(b[28:]))
		size += 4 * int((length+squashBlockSize-1)/squashBlockSize)
	case inodeLink:
		size += int(le.Uint32(b[20:]))
	}
	if size > len(b) {
		return 0, ErrFormat
	}
	return size, nil
}
