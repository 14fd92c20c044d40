package ext4

const (
	extraIsize = 32 // what an inode has behind its first 128 bytes

	modeDir  = 0o040000
	modeFile = 0o100000

	flagExtents = 0x80000

	typeDir      = 2
	typeChecksum = 0xDE // of the entry at the end of a directory's block
	tailSize     = 12
)

// inodes is the beginning of the first inode table.
func (f *layout) inodes() []byte {
	table := make([]byte, blockSize)
	f.inode(table, rootInode, modeDir|0o755, 3, f.rootDir, 1)
	f.inode(table, journalInode, modeFile|0o600, 1, f.journal, f.journalBlocks)
	f.inode(table, lostFound, modeDir|0o700, 2, f.lostFound, lostFoundSize)
	return table
}

// inode writes one whose data are so many blocks in a row.
func (f *layout) inode(table []byte, number uint32, mode, links uint16, start, blocks int64) {
	n := table[(number-1)*inodeSize:][:inodeSize]
	seconds, epoch := f.seconds(), uint32(f.Time.Unix()>>32)&3
	le.PutUint16(n[0x00:], mode)
	le.PutUint32(n[0x04:], uint32(blocks*blockSize))
	le.PutUint32(n[0x08:], seconds)
	le.PutUint32(n[0x0C:], seconds)
	le.PutUint32(n[0x10:], seconds)
	le.PutUint16(n[0x1A:], links)
	le.PutUint32(n[0x1C:], uint32(blocks*blockSize/512))
	le.PutUint32(n[0x20:], flagExtents)
	copy(n[0x28:0x64], extent(start, blocks))
	le.PutUint16(n[0x80:], extraIsize)
	for _, at := range []int{0x84, 0x88, 0x8C, 0x94} {
		le.PutUint32(n[at:], epoch)
	}
	le.PutUint32(n[0x90:], seconds)
	sum := checksum(f.inodeSeed(number), n)
	le.PutUint16(n[0x7C:], uint16(sum))
	le.PutUint16(n[0x82:], uint16(sum>>16))
}

// inodeSeed begins the checksums of an inode and of what belongs to it: its
// number and its generation, which is 0.
func (f *layout) inodeSeed(number uint32) uint32 {
	return checksum(checksum(f.checksumSeed, le32(number)), le32(0))
}

// extent is an i_block with one extent. Its length has 15 bits.
func extent(start, blocks int64) []byte {
	b := make([]byte, 60)
	le.PutUint16(b[0:], 0xF30A)
	le.PutUint16(b[2:], 1) // entries
	le.PutUint16(b[4:], 4) // room for them
	le.PutUint16(b[16:], uint16(blocks))
	le.PutUint32(b[20:], uint32(start))
	return b
}

// entry is a directory in a directory.
type entry struct {
	inode uint32
	name  string
}

// directory is one of so many blocks in the root directory, or that itself.
// The last entry of a block reaches to its checksum.
func (f *layout) directory(number uint32, blocks int, entries ...entry) []byte {
	all := append([]entry{{number, "."}, {rootInode, ".."}}, entries...)
	b := make([]byte, blocks*blockSize)
	for i := range blocks {
		block := b[i*blockSize:][:blockSize]
		at := 0
		for j, e := range all {
			length := (8 + len(e.name) + 3) &^ 3
			if j == len(all)-1 {
				length = blockSize - tailSize - at
			}
			writeEntry(block[at:], e, length)
			at += length
		}
		tail := block[blockSize-tailSize:]
		le.PutUint16(tail[4:], tailSize)
		tail[7] = typeChecksum
		le.PutUint32(tail[8:], checksum(f.inodeSeed(number), block[:blockSize-tailSize]))
		all = []entry{{}} // the further blocks are empty
	}
	return b
}

func writeEntry(b []byte, e entry, length int) {
	le.PutUint32(b[0:], e.inode)
	le.PutUint16(b[4:], uint16(length))
	b[6] = byte(len(e.name))
	if e.inode != 0 {
		b[7] = typeDir
	}
	copy(b[8:], e.name)
}
