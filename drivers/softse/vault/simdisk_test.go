package vault

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"time"
)

// errCut is what every call returns once the power is gone.
var errCut = errors.New("simulated: the power is cut")

// errFault is an input or output error that a test asked for.
var errFault = errors.New("simulated: input/output error")

// inode is a file: what the system shows, and what the disk would have. Writes
// since the last sync may each be on the disk or not, or in part.
type inode struct {
	now     []byte
	durable []byte
	pending []simWrite
}

type simWrite struct {
	at   int64
	data []byte
}

// dirOp is a change of names that no syncDir followed yet. Each may be on the
// disk or not, in any order of the names, as POSIX leaves it; one rename is
// atomic.
type dirOp struct {
	from, to string // rename; a creation has from empty, a removal has to empty
	node     *inode
}

// simDisk is a disk in memory. Calls that change something or make it last are
// numbered; cutAt and faultAt choose one of them.
type simDisk struct {
	now     map[string]*inode
	durable map[string]*inode
	pending []dirOp
	locks   map[string]int // -1 exclusive, else the number of holders

	calls   int
	trace   []string
	cutAt   int  // power is gone from this call on; -1 for never
	faultAt int  // this call alone fails; -1 for never
	effect  bool // the failing call takes effect nevertheless, a write by half
	lose    bool // a failing sync loses the writes for good, as some systems do
}

func newSimDisk() *simDisk {
	return &simDisk{now: map[string]*inode{}, durable: map[string]*inode{}, locks: map[string]int{}, cutAt: -1, faultAt: -1}
}

// call counts one call; do says whether it is to take effect.
func (d *simDisk) call(what string) (do bool, err error) {
	n := d.calls
	d.calls++
	d.trace = append(d.trace, what)
	switch {
	case d.cutAt >= 0 && n >= d.cutAt:
		return false, errCut
	case n == d.faultAt:
		return d.effect, errFault
	}
	return true, nil
}

func (d *simDisk) isCut() bool { return d.cutAt >= 0 && d.calls > d.cutAt }

func (d *simDisk) open(name string, _ bool) (file, error) {
	if d.isCut() {
		return nil, errCut
	}
	n, ok := d.now[name]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return &simFile{d, n, name}, nil
}

func (d *simDisk) create(name string) (file, error) {
	do, err := d.call("create " + name)
	if _, ok := d.now[name]; ok && err == nil {
		return nil, &fs.PathError{Op: "create", Path: name, Err: fs.ErrExist}
	}
	n := &inode{}
	if do {
		d.now[name] = n
		d.pending = append(d.pending, dirOp{to: name, node: n})
	}
	if err != nil {
		return nil, err
	}
	return &simFile{d, n, name}, nil
}

func (d *simDisk) rename(from, to string) error {
	do, err := d.call("rename " + from + " " + to)
	n, ok := d.now[from]
	if !ok && err == nil {
		return &fs.PathError{Op: "rename", Path: from, Err: fs.ErrNotExist}
	}
	if do && ok {
		delete(d.now, from)
		d.now[to] = n
		d.pending = append(d.pending, dirOp{from: from, to: to, node: n})
	}
	return err
}

func (d *simDisk) remove(name string) error {
	do, err := d.call("remove " + name)
	n, ok := d.now[name]
	if !ok && err == nil {
		return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrNotExist}
	}
	if do && ok {
		delete(d.now, name)
		d.pending = append(d.pending, dirOp{from: name, node: n})
	}
	return err
}

func (d *simDisk) list() ([]string, error) { return slices.Sorted(maps.Keys(d.now)), nil }

func (d *simDisk) syncDir() error {
	do, err := d.call("syncDir")
	if do && err == nil {
		d.durable, d.pending = maps.Clone(d.now), nil
	}
	return err
}

func (d *simDisk) lock(name string, exclusive bool, _ time.Duration) (io.Closer, error) {
	if d.isCut() {
		return nil, errCut
	}
	if h := d.locks[name]; h < 0 || exclusive && h > 0 {
		return nil, ErrLocked
	}
	by := 1
	if exclusive {
		by = -1
	}
	d.locks[name] += by
	return closer(func() { d.locks[name] -= by }), nil
}

func (d *simDisk) Close() error { return nil }

type closer func()

func (c closer) Close() error { c(); return nil }

type simFile struct {
	disk *simDisk
	node *inode
	name string
}

func (f *simFile) ReadAt(b []byte, at int64) (int, error) {
	if at >= int64(len(f.node.now)) {
		return 0, io.EOF
	}
	n := copy(b, f.node.now[at:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (f *simFile) WriteAt(b []byte, at int64) (int, error) {
	do, err := f.disk.call(fmt.Sprintf("write %s %d+%d", f.name, at, len(b)))
	n := len(b)
	if err != nil {
		n /= 2
	}
	if !do {
		return 0, err
	}
	w := simWrite{at, slices.Clone(b[:n])}
	f.node.now = w.apply(f.node.now)
	f.node.pending = append(f.node.pending, w)
	return n, err
}

func (f *simFile) sync() error {
	do, err := f.disk.call("sync " + f.name)
	switch {
	case err == nil || do && !f.disk.lose:
		f.node.durable, f.node.pending = slices.Clone(f.node.now), nil
	case f.disk.lose && err == errFault:
		f.node.pending = nil // seen until the power goes, and then gone
	}
	return err
}

func (f *simFile) Close() error { return nil }

func (f *simFile) stat() (int64, fs.FileMode, error) { return int64(len(f.node.now)), 0o600, nil }

func (w simWrite) apply(to []byte) []byte {
	end := int(w.at) + len(w.data)
	if len(to) < end {
		to = append(slices.Clone(to), make([]byte, end-len(to))...)
	} else {
		to = slices.Clone(to)
	}
	copy(to[w.at:], w.data)
	return to
}

// fates of a write that no sync followed.
const (
	fateGone    = iota
	fateWhole   // it is on the disk
	fateHead    // its first half
	fateTail    // its second half, over a length that is there: zeros before it
	fateGarbage // its place, and neither the old bytes nor the new
	fates
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

// futures is the number of disks that a cut at this moment may leave.
func (d *simDisk) futures() int {
	n := 1 << len(d.pending)
	for range d.unsynced() {
		n *= fates
	}
	return n
}

// unsynced lists the writes that may be lost, in a fixed order.
func (d *simDisk) unsynced() []*inode {
	var list []*inode
	add := func(n *inode) {
		for range n.pending {
			list = append(list, n)
		}
	}
	seen := map[*inode]bool{}
	visit := func(n *inode) {
		if !seen[n] {
			seen[n] = true
			add(n)
		}
	}
	for _, m := range []map[string]*inode{d.durable, d.now} {
		for _, name := range slices.Sorted(maps.Keys(m)) {
			visit(m[name])
		}
	}
	for _, op := range d.pending {
		visit(op.node)
	}
	return list
}

// crash is the disk that one of the futures leaves, with the power on again.
func (d *simDisk) crash(future int) *simDisk {
	names := maps.Clone(d.durable)
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
	content := map[*inode][]byte{}
	count := map[*inode]int{}
	for _, n := range d.unsynced() {
		if _, ok := content[n]; !ok {
			content[n] = n.durable
		}
		content[n] = n.pending[count[n]].suffer(content[n], future%fates)
		count[n]++
		future /= fates
	}
	after := newSimDisk()
	for name, n := range names {
		c, ok := content[n]
		if !ok {
			c = n.durable
		}
		after.now[name] = &inode{now: c, durable: c}
	}
	after.durable = maps.Clone(after.now)
	return after
}

// kill is the disk as a process that was killed leaves it: the system goes on,
// so all is seen, and what was not synced may still be lost.
func (d *simDisk) kill() *simDisk {
	after := newSimDisk()
	copied := map[*inode]*inode{}
	dup := func(n *inode) *inode {
		if copied[n] == nil {
			copied[n] = &inode{now: n.now, durable: n.durable, pending: slices.Clone(n.pending)}
		}
		return copied[n]
	}
	for name, n := range d.now {
		after.now[name] = dup(n)
	}
	for name, n := range d.durable {
		after.durable[name] = dup(n)
	}
	for _, op := range d.pending {
		after.pending = append(after.pending, dirOp{op.from, op.to, dup(op.node)})
	}
	return after
}
