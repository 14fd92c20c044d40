package vault

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/cloud-of-se/tses/drivers/softse/internal/disk"
	"github.com/cloud-of-se/tses/internal/statefile"
)

// osDisk is a directory of the operating system. It keeps the directory open,
// so that a fsync of it costs no open, and renaming a parent changes nothing.
type osDisk struct {
	root *os.Root
	dir  *os.File
}

// openDir opens a directory and makes it where it is not there.
func openDir(path string) (disk.Disk, error) {
	if err := makeDir(path); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	dir, err := root.Open(".")
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	d := &osDisk{root: root, dir: dir}
	info, err := dir.Stat()
	if err == nil && worldWritable(info.Mode()) {
		err = fmt.Errorf("%s: %w (mode %04o): chmod 700 %s", path, ErrDirMode, info.Mode().Perm(), path)
	}
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// makeDir makes a directory that will survive a power cut. The parent is
// flushed even where the directory exists: a process that was killed in
// between may have made it and not got that far.
func makeDir(path string) error {
	parent := filepath.Dir(path)
	err := os.Mkdir(path, 0o700)
	if errors.Is(err, fs.ErrNotExist) && parent != path {
		if err := makeDir(parent); err != nil {
			return err
		}
		err = os.Mkdir(path, 0o700)
	}
	existed := errors.Is(err, fs.ErrExist)
	if err != nil && !existed {
		return err
	}
	err = syncPath(parent)
	if existed && errors.Is(err, fs.ErrPermission) {
		return nil // who may not open the parent did not make the directory
	}
	return err
}

func syncPath(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(syncOpenDir(dir), dir.Close())
}

func (d *osDisk) Open(name string, write bool) (disk.File, error) {
	flag := os.O_RDONLY
	if write {
		flag = os.O_RDWR
	}
	return wrap(d.open(name, flag, 0))
}

// open takes a file of ours and nothing else: what stands in its place is not
// waited for, no link is followed, and nothing is done to a device by opening it.
// How large it may be, and who may read it, its users say.
func (d *osDisk) open(name string, flag int, mode fs.FileMode) (*os.File, error) {
	path := filepath.Join(d.root.Name(), name)
	rule := statefile.Rule{Ours: true}
	before, err := d.root.Lstat(name)
	if err == nil {
		err = rule.Judge(path, before)
	}
	fresh := flag&os.O_CREATE != 0 && errors.Is(err, fs.ErrNotExist)
	if err != nil && !fresh {
		return nil, err
	}
	f, err := d.root.OpenFile(name, flag|statefile.NoWait, mode)
	if err != nil {
		return nil, err
	}
	after, err := f.Stat()
	if err == nil {
		err = rule.Judge(path, after)
	}
	if err == nil && !fresh && !os.SameFile(before, after) {
		err = fmt.Errorf("%s: %w: it was replaced by a link while it was opened", path, statefile.ErrKind)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func (d *osDisk) Create(name string) (disk.File, error) {
	return wrap(d.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600))
}

func (d *osDisk) Rename(from, to string) error { return d.root.Rename(from, to) }
func (d *osDisk) Remove(name string) error     { return d.root.Remove(name) }
func (d *osDisk) SyncDir() error               { return syncOpenDir(d.dir) }
func (d *osDisk) Close() error                 { return errors.Join(d.dir.Close(), d.root.Close()) }

func (d *osDisk) List() ([]string, error) {
	entries, err := fs.ReadDir(d.root.FS(), ".")
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, err
}

type osFile struct{ *os.File }

func wrap(f *os.File, err error) (disk.File, error) {
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (f osFile) Stat() (int64, fs.FileMode, error) {
	info, err := f.File.Stat()
	if err != nil {
		return 0, 0, err
	}
	return info.Size(), info.Mode(), nil
}

// Sync leaves out what is not needed to read the data back, the time of
// change: over a preallocated page that spares the journal. The length of a
// new file is needed, and so included.
func (f osFile) Sync() error { return syncData(f.File) }
