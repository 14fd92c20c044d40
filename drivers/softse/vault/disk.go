package vault

import (
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/cloud-of-se/tses/drivers/softse/internal/disk"
	"github.com/cloud-of-se/tses/internal/statefile"
)

// replace makes data the content of name: a power cut leaves the old file or
// the new one. The new one is there for good only after a syncDir, which is
// the caller's, because it may have more to make lasting.
func replace(d disk.Disk, name string, data []byte) error {
	temp := name + tempSuffix
	if err := writeNew(d, temp, data); err != nil {
		// It is of no use, and on a full disk it holds the room that the next
		// try needs. Where this fails too, the next try removes it.
		_ = d.Remove(temp)
		return err
	}
	return d.Rename(temp, name)
}

func writeNew(d disk.Disk, name string, data []byte) error {
	f, err := d.Create(name)
	if errors.Is(err, fs.ErrExist) { // a write that was cut off
		if err = d.Remove(name); err != nil {
			return err
		}
		f, err = d.Create(name)
	}
	if err != nil {
		return err
	}
	err = writeAll(f, data, 0)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func writeAll(f disk.File, data []byte, at int64) error {
	n, err := f.WriteAt(data, at)
	if err == nil && n < len(data) {
		err = io.ErrShortWrite
	}
	return err
}

// open opens a file that is one; notOne is the error for anything else in its
// place.
func open(d disk.Disk, name string, write bool, notOne error) (disk.File, error) {
	f, err := d.Open(name, write)
	if errors.Is(err, statefile.ErrKind) {
		return nil, fmt.Errorf("%w: %w", notOne, err)
	}
	return f, err
}

// readAll reads a whole file of at most limit bytes; tooLong is the error for
// a longer one, found out before anything is read.
func readAll(f disk.File, limit int64, tooLong error) ([]byte, error) {
	size, mode, err := f.Stat()
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

func readFull(f disk.File, data []byte, at int64) error {
	n, err := f.ReadAt(data, at)
	if n == len(data) {
		return nil // io.ReaderAt may give io.EOF with the last byte
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return err
}
