package ext4

// layout is where everything stands, in blocks.
type layout struct {
	Options
	blocks         int64
	inodesPerGroup int
	tableBlocks    int64 // of one inode table
	descBlocks     int64 // of the table of group descriptors
	groups         []group
	rootDir        int64 // one block
	lostFound      int64 // lostFoundSize blocks
	journal        int64
	journalBlocks  int64
	checksumSeed   uint32
}

// group is a block group: superblock and descriptors where it has a copy,
// bitmaps, inode table, and behind them data.
type group struct {
	blocks                               int64 // all of it
	blockBitmap, inodeBitmap, inodeTable int64
	used                                 int64 // blocks from its start that are in use
}

func newLayout(o Options) *layout {
	f := &layout{Options: o, blocks: o.Size / blockSize, checksumSeed: checksum(^uint32(0), o.UUID[:])}
	f.sizes()
	// A last group that can hold little more than its own metadata is left out.
	if rest := f.blocks % blocksPerGroup; len(f.groups) > 1 && rest != 0 && rest < f.overhead(len(f.groups)-1)+leastGroupData {
		f.blocks -= rest
		f.sizes()
	}
	for i := range f.groups {
		f.place(i)
	}
	f.journalBlocks = min(journalMax, max(journalMin, f.blocks/16))
	f.rootDir = f.take(1)
	f.lostFound = f.take(lostFoundSize)
	f.journal = f.take(f.journalBlocks)
	return f
}

// sizes finds the number of groups and the size of what each of them has.
func (f *layout) sizes() {
	count := (f.blocks + blocksPerGroup - 1) / blocksPerGroup
	perBlock := int64(blockSize / inodeSize)
	inodes := f.blocks * blockSize / bytesPerInode
	f.tableBlocks = (inodes/count + perBlock - 1) / perBlock
	f.inodesPerGroup = int(f.tableBlocks * perBlock)
	f.descBlocks = (count*descSize + blockSize - 1) / blockSize
	f.groups = make([]group, count)
}

// overhead is how many blocks of a group are its metadata.
func (f *layout) overhead(i int) int64 {
	n := 2 + f.tableBlocks
	if hasSuper(i) {
		n += 1 + f.descBlocks
	}
	return n
}

// place puts a group's metadata at its beginning.
func (f *layout) place(i int) {
	g, start := &f.groups[i], int64(i)*blocksPerGroup
	g.blocks = min(blocksPerGroup, f.blocks-start)
	g.used = f.overhead(i)
	g.inodeTable = start + g.used - f.tableBlocks
	g.inodeBitmap = g.inodeTable - 1
	g.blockBitmap = g.inodeTable - 2
}

// take takes the next blocks of group 0, which has room for all that a new
// file system holds.
func (f *layout) take(n int64) (block int64) {
	block = f.groups[0].used
	f.groups[0].used += n
	return block
}

// hasSuper tells whether a group has a copy of superblock and descriptors
// (sparse_super): 0, 1 and the powers of 3, 5 and 7.
func hasSuper(group int) bool {
	if group <= 1 {
		return true
	}
	for _, base := range []int{3, 5, 7} {
		power := base
		for power < group {
			power *= base
		}
		if power == group {
			return true
		}
	}
	return false
}

func (f *layout) freeBlocks() (n int64) {
	for i := range f.groups {
		n += f.groups[i].blocks - f.groups[i].used
	}
	return n
}

// usedInodes is how many inodes of a group are in use: in the first those that
// are reserved, and lost+found.
func usedInodes(group int) int {
	if group == 0 {
		return firstInode
	}
	return 0
}
