package cutdisk

import (
	"maps"
	"slices"
)

// The fates of a write that no sync followed.
const (
	fateGone    = iota
	fateWhole   // it is on the disk
	fateHead    // its first half
	fateTail    // its second half, over a length that is there: zeros before it
	fateGarbage // its place, and neither the old bytes nor the new
	Fates       // their number
)

func (w simWrite) suffer(to []byte, fate int) []byte {
	data := slices.Clone(w.data)
	half := len(data) / 2
	switch fate {
	case fateGone:
		return to
	case fateHead:
		return simWrite{w.at, data[:half]}.apply(to)
	case fateTail:
		return simWrite{w.at + int64(half), data[half:]}.apply(to)
	case fateGarbage:
		for i := range data {
			data[i] = 0x5A ^ byte(i)
		}
	}
	return simWrite{w.at, data}.apply(to)
}

// Futures is the number of disks that a cut at this moment may leave.
func (d *Disk) Futures() int {
	n := 1 << len(d.pending)
	for range d.unsynced() {
		n *= Fates
	}
	return n
}

// unsynced lists the files with writes that may be lost, one entry a write, in
// a fixed order.
func (d *Disk) unsynced() []*Inode {
	var list []*Inode
	seen := map[*Inode]bool{}
	visit := func(n *Inode) {
		if !seen[n] {
			seen[n] = true
			list = append(list, slices.Repeat([]*Inode{n}, len(n.pending))...)
		}
	}
	for _, m := range []map[string]*Inode{d.Durable, d.Now} {
		for _, name := range slices.Sorted(maps.Keys(m)) {
			visit(m[name])
		}
	}
	for _, op := range d.pending {
		visit(op.node)
	}
	return list
}

// Crash is the disk that one of the futures leaves, with the power on again.
func (d *Disk) Crash(future int) *Disk {
	names := maps.Clone(d.Durable)
	for _, op := range d.pending {
		if future&1 == 1 {
			if op.from != "" && names[op.from] == op.node {
				delete(names, op.from)
			}
			if op.to != "" {
				names[op.to] = op.node
			}
		}
		future >>= 1
	}
	content := map[*Inode][]byte{}
	count := map[*Inode]int{}
	for _, n := range d.unsynced() {
		if _, ok := content[n]; !ok {
			content[n] = n.Durable
		}
		content[n] = n.pending[count[n]].suffer(content[n], future%Fates)
		count[n]++
		future /= Fates
	}
	after := New()
	for name, n := range names {
		c, ok := content[n]
		if !ok {
			c = n.Durable
		}
		after.Now[name] = &Inode{Now: c, Durable: c}
	}
	after.Durable = maps.Clone(after.Now)
	return after
}

// Kill is the disk as a process that was killed leaves it: the system goes on,
// so all is seen, and what was not synced may still be lost.
func (d *Disk) Kill() *Disk {
	after := New()
	copied := map[*Inode]*Inode{}
	dup := func(n *Inode) *Inode {
		if copied[n] == nil {
			copied[n] = &Inode{Now: n.Now, Durable: n.Durable, pending: slices.Clone(n.pending)}
		}
		return copied[n]
	}
	for name, n := range d.Now {
		after.Now[name] = dup(n)
	}
	for name, n := range d.Durable {
		after.Durable[name] = dup(n)
	}
	for _, op := range d.pending {
		after.pending = append(after.pending, dirOp{op.from, op.to, dup(op.node)})
	}
	return after
}
