package ext4

import "encoding/binary"

// journalMap is the i_block of the journal's inode, of which the superblock
// keeps a copy.
func (f *layout) journalMap() []byte { return extent(f.journal, f.journalBlocks) }

// journalSuperblock is that of an empty journal (ext4, "Journal (jbd2)"), which
// is written in network order. The kernel adds checksums at the first mount.
func (f *layout) journalSuperblock() []byte {
	s := make([]byte, superSize)
	be := binary.BigEndian
	be.PutUint32(s[0x00:], 0xC03B3998)
	be.PutUint32(s[0x04:], 4) // superblock, version 2
	be.PutUint32(s[0x0C:], blockSize)
	be.PutUint32(s[0x10:], uint32(f.journalBlocks))
	be.PutUint32(s[0x14:], 1) // the log begins behind this block
	be.PutUint32(s[0x18:], 1) // the first transaction
	copy(s[0x30:0x40], f.UUID[:])
	be.PutUint32(s[0x40:], 1) // users
	return s
}
