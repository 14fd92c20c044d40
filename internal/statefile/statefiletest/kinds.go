//go:build unix

// Package statefiletest has the things that can stand in the place of a file.
package statefiletest

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/cloud-of-se/tses/internal/statefile"
)

// Kind is a thing that can stand in the place of a file.
type Kind struct {
	Name string
	Err  error // of package statefile; nil: it is as good as the file
	// Place puts it there. The file that was there is at moved.
	Place func(path, moved string) error

	root bool // only root can place it
}

// nobody is some other user.
const nobody = 65534

// sparse is a size that fits into no memory of a small machine, and takes no
// room on a disk.
const sparse = 3 << 30

var kinds = []Kind{
	{Name: "FIFO", Err: statefile.ErrKind, Place: func(path, _ string) error { return syscall.Mkfifo(path, 0o600) }},
	{Name: "symbolic link", Err: statefile.ErrKind, Place: func(path, moved string) error { return os.Symlink(moved, path) }},
	{Name: "dangling link", Err: statefile.ErrKind, Place: func(path, _ string) error { return os.Symlink(path+".nowhere", path) }},
	{Name: "directory", Err: statefile.ErrKind, Place: func(path, _ string) error { return os.Mkdir(path, 0o700) }},
	{Name: "socket", Err: statefile.ErrKind, Place: placeSocket},
	{Name: "device", Err: statefile.ErrKind, Place: placeDevice, root: true},
	{Name: "3 GB of holes", Err: statefile.ErrSize, Place: func(path, _ string) error {
		return errors.Join(os.WriteFile(path, nil, 0o600), os.Truncate(path, sparse))
	}},
	{Name: "another's", Err: statefile.ErrOwner, Place: func(path, moved string) error {
		return errors.Join(os.Link(moved, path), os.Chown(path, nobody, nobody))
	}, root: true},
	{Name: "readable", Err: statefile.ErrMode, Place: func(path, moved string) error {
		return errors.Join(os.Link(moved, path), os.Chmod(path, 0o604))
	}},
	{Name: "writable", Err: statefile.ErrMode, Place: func(path, moved string) error {
		return errors.Join(os.Link(moved, path), os.Chmod(path, 0o622))
	}},
	{Name: "hard link", Place: func(path, moved string) error { return os.Link(moved, path) }},
}

// placeSocket makes a socket of which the name is short enough first.
func placeSocket(path, _ string) error {
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		return err
	}
	short := filepath.Join(dir, "s")
	return errors.Join(syscall.Bind(fd, &syscall.SockaddrUnix{Name: short}), os.Rename(short, path), syscall.Close(fd), os.RemoveAll(dir))
}

// placeDevice makes what /dev/zero is, which can be read without an end.
func placeDevice(path, _ string) error {
	var zero syscall.Stat_t
	if err := syscall.Stat("/dev/zero", &zero); err != nil {
		return err
	}
	return syscall.Mknod(path, syscall.S_IFCHR|0o600, int(zero.Rdev))
}

// Kinds are those that this user can make.
func Kinds() []Kind {
	var all []Kind
	for _, k := range kinds {
		if !k.root || os.Geteuid() == 0 {
			all = append(all, k)
		}
	}
	return all
}

// Put moves a file aside and puts the kind in its place, until the returned
// function is called, which brings the file back with the mode that it had.
func (k Kind) Put(t *testing.T, path string) (back func()) {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	moved := path + ".moved"
	if err := errors.Join(os.Rename(path, moved), k.Place(path, moved)); err != nil {
		t.Fatalf("%s: %v", k.Name, err)
	}
	st := info.Sys().(*syscall.Stat_t)
	return func() {
		t.Helper()
		err := errors.Join(os.RemoveAll(path), os.Rename(moved, path), os.Chmod(path, info.Mode().Perm()))
		if os.Geteuid() == 0 {
			err = errors.Join(err, os.Chown(path, int(st.Uid), int(st.Gid)))
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
}
