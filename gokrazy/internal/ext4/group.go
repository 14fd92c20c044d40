package ext4

// Flags of a group descriptor.
const itableZeroed = 0x4

// descriptors is the table of group descriptors.
func (f *layout) descriptors() []byte {
	table := make([]byte, f.descBlocks*blockSize)
	for i := range f.groups {
		g, d := &f.groups[i], table[i*descSize:][:descSize]
		le.PutUint32(d[0x00:], uint32(g.blockBitmap))
		le.PutUint32(d[0x04:], uint32(g.inodeBitmap))
		le.PutUint32(d[0x08:], uint32(g.inodeTable))
		le.PutUint16(d[0x0C:], uint16(g.blocks-g.used))
		le.PutUint16(d[0x0E:], uint16(f.inodesPerGroup-usedInodes(i)))
		if i == 0 {
			le.PutUint16(d[0x10:], 2) // directories: the root and lost+found
		}
		le.PutUint16(d[0x12:], itableZeroed)
		le.PutUint16(d[0x18:], uint16(checksum(f.checksumSeed, f.blockBitmap(i))))
		le.PutUint16(d[0x1A:], uint16(checksum(f.checksumSeed, f.inodeBitmap(i)[:f.inodesPerGroup/8])))
		le.PutUint16(d[0x1C:], uint16(f.inodesPerGroup-usedInodes(i))) // never used
		// The checksum is over the descriptor with zeros in its own place.
		le.PutUint16(d[0x1E:], uint16(checksum(checksum(f.checksumSeed, le32(uint32(i))), d)))
	}
	return table
}

// blockBitmap has a bit for every block of a group. Blocks behind the end of
// the file system count as used.
func (f *layout) blockBitmap(i int) []byte {
	b := make([]byte, blockSize)
	setBits(b, 0, int(f.groups[i].used))
	setBits(b, int(f.groups[i].blocks), blocksPerGroup)
	return b
}

// inodeBitmap has a bit for every inode of a group, and ones behind them.
func (f *layout) inodeBitmap(i int) []byte {
	b := make([]byte, blockSize)
	setBits(b, 0, usedInodes(i))
	setBits(b, f.inodesPerGroup, 8*blockSize)
	return b
}

// setBits sets the bits from start to before end.
func setBits(b []byte, start, end int) {
	for i := start; i < end; i++ {
		b[i/8] |= 1 << (i % 8)
	}
}

func le32(v uint32) []byte { return le.AppendUint32(nil, v) }
