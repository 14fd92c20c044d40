package vault

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"
)

// disk is one directory, and everything that this package does to it: tests
// put a simulated one here and cut its power between any two calls. Names are
// plain file names.
type disk interface {
	// open opens an existing file.
	open(name string, write bool) (file, error)
	// create makes an empty file of mode 0600 that was not there before.
	create(name string) (file, error)
	rename(from, to string) error
	remove(name string) error
	list() ([]string, error)
	// syncDir returns when all creations, renames and removals before it
	// will survive a power cut.
	syncDir() error
	// lock takes the advisory lock of a file that it makes where needed. It
	// tries for the time given and fails with ErrLocked.
	lock(name string, exclusive bool, wait time.Duration) (io.Closer, error)
	io.Closer
}

// file is one open file of a disk.
type file interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	stat() (size int64, mode fs.FileMode, err error)
	// sync returns when the file's content will survive a power cut.
	sync() error
}

// replace makes data the content of name: a power cut leaves the old file or
// the new one. The new one is there for good only after a syncDir, which is
// the caller's, because it may have more to make lasting.
func replace(d disk, name string, data []byte) error {
	temp := name + tempSuffix
	if err := writeNew(d, temp, data); err != nil {
		// It is of no use, and on a full disk it holds the room that the next
		// try needs. Where this fails too, the next try removes it.
		_ = d.remove(temp)
		return err
	}
	return d.rename(temp, name)
}

func writeNew(d disk, name string, data []byte) error {
	f, err := d.create(name)
	if errors.Is(err, fs.ErrExist) { // a write that was cut off
		if err = d.remove(name); err != nil {
			return err
		}
		f, err = d.create(name)
	}
	if err != nil {
		return err
	}
	err = writeAll(f, data, 0)
	if err == nil {
		err = f.sync()
	}
	return errors.Join(err, f.Close())
}

func writeAll(f file, data []byte, at int64) error {
	n, err := f.WriteAt(data, at)
	if err == nil && n < len(data) {
		err = io.ErrShortWrite
	}
	return err
}

// readAll reads a whole file of at most limit bytes; tooLong is the error for
// a longer one, found out before anything is read.
func readAll(f file, limit int64, tooLong error) ([]byte, error) {
	size, mode, err := f.stat()
	if err != nil {
		return nil, err
	}
	if !mode.IsRegular() {
		return nil, fmt.Errorf("%w: not a regular file", tooLong)
	}
	if size > limit {
		return nil, fmt.Errorf("%w: %d bytes where at most %d can be", tooLong, size, limit)
	}
	data := make([]byte, size)
	if err := readFull(f, data, 0); err != nil {
		return nil, err
	}
	return data, nil
}

func readFull(f file, data []byte, at int64) error {
	n, err := f.ReadAt(data, at)
	if n == len(data) {
		return nil // io.ReaderAt may give io.EOF with the last byte
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return err
}
