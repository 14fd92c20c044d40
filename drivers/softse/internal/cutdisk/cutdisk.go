// Package cutdisk is a disk in memory for tests: it loses, tears and reorders
// what was not flushed when its power is cut.
package cutdisk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"time"

	"github.com/cloud-of-se/tses/drivers/softse/internal/disk"
)

// ErrCut is what every call returns once the power is gone.
var ErrCut = errors.New("simulated: the power is cut")

// ErrFault is an input or output error that a test asked for.
var ErrFault = errors.New("simulated: input/output error")

// Inode is a file: what the system shows, and what the disk would have. Writes
// since the last sync may each be on the disk or not, or in part.
type Inode struct {
	Now     []byte
	Durable []byte
	pending []simWrite
}

type simWrite struct {
	at   int64
	data []byte
}

// dirOp is a change of names that no SyncDir followed yet. Each may be on the
// disk or not, in any order of the names, as POSIX leaves it; one rename is
// atomic.
type dirOp struct {
	from, to string // rename; a creation has from empty, a removal has to empty
	node     *Inode
}

// Disk is a disk in memory. Calls that change something or make it last are
// numbered; CutAt and FaultAt choose one of them.
type Disk struct {
	Now     map[string]*Inode
	Durable map[string]*Inode
	pending []dirOp
	locks   map[string]int // -1 exclusive, else the number of holders

	Calls   int
	Trace   []string
	CutAt   int  // power is gone from this call on; -1 for never
	FaultAt int  // this call alone fails; -1 for never
	Effect  bool // the failing call takes effect nevertheless, a write by half
	Lose    bool // a failing sync loses the writes for good, as some systems do
}

// New is an empty disk that works.
func New() *Disk {
	return &Disk{Now: map[string]*Inode{}, Durable: map[string]*Inode{}, locks: map[string]int{}, CutAt: -1, FaultAt: -1}
}

// call counts one call; do says whether it is to take effect.
func (d *Disk) call(what string) (do bool, err error) {
	n := d.Calls
	d.Calls++
	d.Trace = append(d.Trace, what)
	switch {
	case d.CutAt >= 0 && n >= d.CutAt:
		return false, ErrCut
	case n == d.FaultAt:
		return d.Effect, ErrFault
	}
	return true, nil
}

// IsCut tells whether the power went during a call, or before.
func (d *Disk) IsCut() bool { return d.CutAt >= 0 && d.Calls > d.CutAt }

// Open is part of [disk.Disk].
func (d *Disk) Open(name string, _ bool) (disk.File, error) {
	if d.IsCut() {
		return nil, ErrCut
	}
	n, ok := d.Now[name]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return &simFile{d, n, name}, nil
}

// Create is part of [disk.Disk].
func (d *Disk) Create(name string) (disk.File, error) {
	do, err := d.call("create " + name)
	if _, ok := d.Now[name]; ok && err == nil {
		return nil, &fs.PathError{Op: "create", Path: name, Err: fs.ErrExist}
	}
	n := &Inode{}
	if do {
		d.Now[name] = n
		d.pending = append(d.pending, dirOp{to: name, node: n})
	}
	if err != nil {
		return nil, err
	}
	return &simFile{d, n, name}, nil
}

// Rename is part of [disk.Disk].
func (d *Disk) Rename(from, to string) error {
	do, err := d.call("rename " + from + " " + to)
	n, ok := d.Now[from]
	if !ok && err == nil {
		return &fs.PathError{Op: "rename", Path: from, Err: fs.ErrNotExist}
	}
	if do && ok {
		delete(d.Now, from)
		d.Now[to] = n
		d.pending = append(d.pending, dirOp{from: from, to: to, node: n})
	}
	return err
}

// Remove is part of [disk.Disk].
func (d *Disk) Remove(name string) error {
	do, err := d.call("remove " + name)
	n, ok := d.Now[name]
	if !ok && err == nil {
		return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrNotExist}
	}
	if do && ok {
		delete(d.Now, name)
		d.pending = append(d.pending, dirOp{from: name, node: n})
	}
	return err
}

// List is part of [disk.Disk].
func (d *Disk) List() ([]string, error) { return slices.Sorted(maps.Keys(d.Now)), nil }

// SyncDir is part of [disk.Disk].
func (d *Disk) SyncDir() error {
	do, err := d.call("syncDir")
	if do && err == nil {
		d.Durable, d.pending = maps.Clone(d.Now), nil
	}
	return err
}

// Lock is part of [disk.Disk].
func (d *Disk) Lock(name string, exclusive bool, _ time.Duration) (io.Closer, error) {
	if d.IsCut() {
		return nil, ErrCut
	}
	if h := d.locks[name]; h < 0 || exclusive && h > 0 {
		return nil, errors.New("simulated: " + name + " is locked")
	}
	by := 1
	if exclusive {
		by = -1
	}
	d.locks[name] += by
	return closer(func() { d.locks[name] -= by }), nil
}

// Close is part of [disk.Disk].
func (d *Disk) Close() error { return nil }

type closer func()

func (c closer) Close() error { c(); return nil }

type simFile struct {
	disk *Disk
	node *Inode
	name string
}

func (f *simFile) ReadAt(b []byte, at int64) (int, error) {
	if at >= int64(len(f.node.Now)) {
		return 0, io.EOF
	}
	n := copy(b, f.node.Now[at:])
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
	f.node.Now = w.apply(f.node.Now)
	f.node.pending = append(f.node.pending, w)
	return n, err
}

func (f *simFile) Sync() error {
	do, err := f.disk.call("sync " + f.name)
	switch {
	case err == nil || do && !f.disk.Lose:
		f.node.Durable, f.node.pending = slices.Clone(f.node.Now), nil
	case f.disk.Lose && err == ErrFault:
		f.node.pending = nil // seen until the power goes, and then gone
	}
	return err
}

func (f *simFile) Close() error { return nil }

func (f *simFile) Stat() (int64, fs.FileMode, error) { return int64(len(f.node.Now)), 0o600, nil }

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
