package statefile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// lockWait bounds the wait for another process that writes a file.
const lockWait = 10 * time.Second

// Write replaces a file: a power cut leaves the old one or the new one, and when
// it has returned the new one stays. What stands where it writes first, PATH.tmp,
// is removed and not followed. Writers in one directory wait for each other, at
// most 10 s.
func Write(path string, text []byte, mode fs.FileMode) error {
	dir, err := os.OpenFile(filepath.Dir(path), os.O_RDONLY|onlyDir, 0)
	if err != nil {
		return err
	}
	// A file system that has no locks does not keep writers apart.
	if err = lock(context.Background(), dir, lockWait); !errors.Is(err, ErrLocked) {
		err = replace(path, text, mode)
	}
	if err == nil {
		err = syncDir(dir)
	}
	return errors.Join(err, dir.Close()) // which gives the lock free
}

func replace(path string, text []byte, mode fs.FileMode) error {
	tmp := path + ".tmp"
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_EXCL|os.O_WRONLY|noFollow, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Chmod(mode) // whatever the umask takes
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		// On a full disk it holds the room that the next try needs, which
		// removes it where this does not.
		return errors.Join(err, os.Remove(tmp))
	}
	return nil
}

// Edit opens a file that is changed in place, a lock or a log, for reading and
// writing, and makes it where it is not there. It has to be ours and to have no
// other name: what is written would be in the file that the other name means.
func Edit(path string, flag int, mode fs.FileMode) (*os.File, error) {
	f, err := Kept(0).open(path, flag|os.O_RDWR|os.O_CREATE, mode)
	if err != nil {
		return nil, err
	}
	if err := OneName(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// OneName fails with [ErrNames] where an open file has other names.
func OneName(f *os.File) error {
	info, err := f.Stat()
	if err == nil && names(info) > 1 {
		err = fmt.Errorf("%s: %w, and would be changed under all of them; move it away", f.Name(), ErrNames)
	}
	return err
}

// ErrLocked says that another process has a lock.
var ErrLocked = errors.New("another process has it locked")

// lockPoll is how often a lock that another has is tried again.
const lockPoll = 2 * time.Millisecond

// Lock takes the lock of a file, which it makes where it is not there, and waits
// for it at most as long as said; then it fails with [ErrLocked]. Closing the
// file gives it free, and so does the end of the process.
func Lock(ctx context.Context, path string, wait time.Duration) (*os.File, error) {
	f, err := Edit(path, 0, 0o600)
	if err != nil {
		return nil, err
	}
	if err := lock(ctx, f, wait); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func lock(ctx context.Context, f *os.File, wait time.Duration) error {
	for end := time.Now().Add(wait); ; {
		err := flock(f)
		switch {
		case err == nil:
			return nil
		case !taken(err):
			return fmt.Errorf("lock %s: %w", f.Name(), err)
		case !time.Now().Before(end):
			return fmt.Errorf("lock %s: %w; end it first", f.Name(), ErrLocked)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(lockPoll):
		}
	}
}

// Mkdir makes a directory, and those that it is in, unless it is there, so that
// it stays.
func Mkdir(path string, mode fs.FileMode) error {
	if err := os.MkdirAll(path, mode); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(path))
}

// SyncDir makes the names in a directory last.
func SyncDir(path string) error {
	dir, err := os.OpenFile(path, os.O_RDONLY|onlyDir, 0)
	if err != nil {
		return err
	}
	return errors.Join(syncDir(dir), dir.Close())
}
