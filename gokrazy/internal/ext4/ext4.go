// Package ext4 makes an empty ext4 file system with a journal, in Go alone: the
// builder of the SD card formats /perm with it, and so does the card itself
// when /perm is beyond repair.
//
// Names of fields and their offsets are those of the kernel's documentation,
// Documentation/filesystems/ext4. The layout is the plain one: every block
// group holds its own bitmaps and its own inode table, no flex_bg, no resize
// inode, 32-bit block numbers. All metadata have checksums (metadata_csum), so
// that a failing SD card is noticed.
//
// The result depends on [Options] alone, to the byte.
package ext4

import (
	"errors"
	"fmt"
	"io"
	"time"
)

// Everything is counted in blocks of this size.
const (
	blockSize      = 4096
	logBlockSize   = 2 // 1024 << 2
	blocksPerGroup = 8 * blockSize
	inodeSize      = 256
	bytesPerInode  = 16384 // of the file system, for one inode
	descSize       = 32

	rootInode      = 2
	journalInode   = 8
	firstInode     = 11 // the first that is not reserved
	lostFound      = 11
	lostFoundSize  = 4 // blocks: what is found fits without allocating
	journalMax     = 4096
	journalMin     = 1024 // of the kernel: JBD2_MIN_JOURNAL_BLOCKS
	leastGroupData = 64   // blocks: a smaller rest at the end is not used
)

// The bounds of Size: the least that has room for a journal, and the most that
// 32-bit block numbers and one extent for the journal were tried with.
const (
	MinSize = 16 << 20
	MaxSize = 1 << 40
)

// Options describe a file system.
type Options struct {
	Size     int64     // bytes; what is over the last whole block, or too small a rest, stays unused
	UUID     [16]byte  // of the file system
	HashSeed [16]byte  // of its directories: a UUID too
	Label    string    // at most 16 bytes
	Time     time.Time // of making it
	Zeroed   bool      // what w holds is all zeros, so that these need not be written
}

// ErrSize says that a file system of the size cannot be made.
var ErrSize = errors.New("no size for a file system")

// Format makes the file system in w, from offset 0 on.
func Format(w io.WriterAt, o Options) error {
	if o.Size < MinSize || o.Size > MaxSize {
		return fmt.Errorf("ext4: %d bytes: %w, want %d to %d", o.Size, ErrSize, int64(MinSize), int64(MaxSize))
	}
	if len(o.Label) > 16 {
		return fmt.Errorf("ext4: label %.40q: want at most 16 bytes", o.Label)
	}
	f := newLayout(o)
	if !o.Zeroed {
		if err := f.zero(w); err != nil {
			return fmt.Errorf("ext4: %w", err)
		}
	}
	for _, part := range f.parts() {
		if _, err := w.WriteAt(part.data, part.block*blockSize+part.offset); err != nil {
			return fmt.Errorf("ext4: %w", err)
		}
	}
	return nil
}

// part is what stands at a place of the file system.
type part struct {
	block, offset int64
	data          []byte
}

// parts are all that is not zero. The superblock comes last: before it is
// there, nothing is taken for a file system.
func (f *layout) parts() []part {
	parts := []part{
		{block: f.groups[0].inodeTable, data: f.inodes()},
		{block: f.rootDir, data: f.directory(rootInode, 1, entry{lostFound, "lost+found"})},
		{block: f.lostFound, data: f.directory(lostFound, lostFoundSize)},
		{block: f.journal, data: f.journalSuperblock()},
	}
	for i := range f.groups {
		g := &f.groups[i]
		parts = append(parts,
			part{block: g.blockBitmap, data: f.blockBitmap(i)},
			part{block: g.inodeBitmap, data: f.inodeBitmap(i)})
	}
	descriptors := f.descriptors()
	for i := len(f.groups) - 1; i >= 0; i-- {
		if hasSuper(i) {
			start := int64(i) * blocksPerGroup
			parts = append(parts, part{block: start + 1, data: descriptors})
			parts = append(parts, f.superblock(i))
		}
	}
	return parts
}

// zero writes zeros where something old would be misread: boot sectors and old
// superblocks, inode tables, and the journal, whose recovery goes by what looks
// like the next transaction.
func (f *layout) zero(w io.WriterAt) error {
	zeros := make([]byte, 1<<20)
	clearBlocks := func(start, count int64) error {
		for at, end := start*blockSize, (start+count)*blockSize; at < end; {
			n, err := w.WriteAt(zeros[:min(int64(len(zeros)), end-at)], at)
			if err != nil {
				return err
			}
			at += int64(n)
		}
		return nil
	}
	if err := clearBlocks(0, 1); err != nil {
		return err
	}
	for i := range f.groups {
		if err := clearBlocks(f.groups[i].inodeTable, f.tableBlocks); err != nil {
			return err
		}
	}
	return clearBlocks(f.journal, f.journalBlocks)
}
