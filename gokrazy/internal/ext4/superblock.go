package ext4

import (
	"encoding/binary"
	"hash/crc32"
)

var le = binary.LittleEndian

// Features (ext4, "Super Block").
const (
	compatHasJournal = 0x4
	compatExtAttr    = 0x8
	compatDirIndex   = 0x20

	incompatFiletype = 0x2
	incompatExtents  = 0x40

	roCompatSparseSuper  = 0x1
	roCompatLargeFile    = 0x2
	roCompatHugeFile     = 0x8
	roCompatDirNlink     = 0x20
	roCompatExtraIsize   = 0x40
	roCompatMetadataCsum = 0x400
)

const (
	superOffset = 1024 // in group 0; the copies stand at the start of their groups
	superSize   = 1024

	// reservedPart of the blocks is root's: whoever else fills the file system
	// leaves so much for what the first process has to write down. It is what
	// mke2fs takes.
	reservedPart = 20

	errorsRemountReadOnly = 2   // nothing is written to a file system that is found damaged
	mountXattrACL         = 0xC // default mount options, as those of mke2fs
	halfMD4               = 1
	journalBackedUp       = 1
	signedHash            = 1
	checksumCRC32C        = 1
)

// superblock is that of a group.
func (f *layout) superblock(group int) part {
	s := make([]byte, superSize)
	le.PutUint32(s[0x00:], uint32(f.inodesPerGroup*len(f.groups)))
	le.PutUint32(s[0x04:], uint32(f.blocks))
	le.PutUint32(s[0x08:], uint32(f.blocks/reservedPart)) // for user 0, as the zeros at 0x50 say
	le.PutUint32(s[0x0C:], uint32(f.freeBlocks()))
	le.PutUint32(s[0x10:], uint32(f.inodesPerGroup*len(f.groups)-usedInodes(0)))
	le.PutUint32(s[0x18:], logBlockSize)
	le.PutUint32(s[0x1C:], logBlockSize) // clusters are blocks
	le.PutUint32(s[0x20:], blocksPerGroup)
	le.PutUint32(s[0x24:], blocksPerGroup)
	le.PutUint32(s[0x28:], uint32(f.inodesPerGroup))
	le.PutUint32(s[0x30:], f.seconds())
	le.PutUint16(s[0x36:], 0xFFFF) // no check for the number of mounts
	le.PutUint16(s[0x38:], 0xEF53)
	le.PutUint16(s[0x3A:], 1) // clean
	le.PutUint16(s[0x3C:], errorsRemountReadOnly)
	le.PutUint32(s[0x40:], f.seconds())
	le.PutUint32(s[0x4C:], 1) // revision: with what follows
	le.PutUint32(s[0x54:], firstInode)
	le.PutUint16(s[0x58:], inodeSize)
	le.PutUint16(s[0x5A:], uint16(group))
	le.PutUint32(s[0x5C:], compatHasJournal|compatExtAttr|compatDirIndex)
	le.PutUint32(s[0x60:], incompatFiletype|incompatExtents)
	le.PutUint32(s[0x64:], roCompatSparseSuper|roCompatLargeFile|roCompatHugeFile|roCompatDirNlink|roCompatExtraIsize|roCompatMetadataCsum)
	copy(s[0x68:0x78], f.UUID[:])
	copy(s[0x78:0x88], f.Label)
	le.PutUint32(s[0xE0:], journalInode)
	copy(s[0xEC:0xFC], f.HashSeed[:])
	s[0xFC] = halfMD4
	s[0xFD] = journalBackedUp
	le.PutUint32(s[0x100:], mountXattrACL)
	le.PutUint32(s[0x108:], f.seconds())
	copy(s[0x10C:0x148], f.journalMap())
	le.PutUint32(s[0x14C:], uint32(f.journalBlocks*blockSize)) // below 4 GiB
	le.PutUint16(s[0x15C:], extraIsize)
	le.PutUint16(s[0x15E:], extraIsize)
	le.PutUint32(s[0x160:], signedHash)
	s[0x175] = checksumCRC32C
	le.PutUint32(s[0x3FC:], checksum(^uint32(0), s[:0x3FC]))
	if group == 0 {
		return part{offset: superOffset, data: s}
	}
	return part{block: int64(group) * blocksPerGroup, data: s}
}

// seconds is the time of making the file system in 32 bits. What wraps in 2038
// is shown as it is by tools and used by nobody; inodes have the further bits.
func (f *layout) seconds() uint32 { return uint32(f.Time.Unix()) }

// checksum is the CRC32C of ext4: without the last complement, so that one
// can be the seed of the next.
func checksum(seed uint32, b []byte) uint32 {
	return ^crc32.Update(^seed, castagnoli, b)
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)
