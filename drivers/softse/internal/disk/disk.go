// Package disk is what the vault asks of a directory: an operating system's, or
// a simulated one whose power a test cuts between any two calls.
package disk

import (
	"io"
	"io/fs"
	"time"
)

// Disk is one directory. Names are plain file names.
type Disk interface {
	// Open opens an existing file.
	Open(name string, write bool) (File, error)
	// Create makes an empty file of mode 0600 that was not there before.
	Create(name string) (File, error)
	// Rename replaces what has the new name.
	Rename(from, to string) error
	Remove(name string) error
	List() ([]string, error)
	// SyncDir returns when all creations, renames and removals before it
	// will survive a power cut.
	SyncDir() error
	// Lock takes the advisory lock of a file that it makes where needed. It
	// tries for the time given and then fails.
	Lock(name string, exclusive bool, wait time.Duration) (io.Closer, error)
	io.Closer
}

// File is one open file of a Disk.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Stat() (size int64, mode fs.FileMode, err error)
	// Sync returns when the file's content will survive a power cut.
	Sync() error
}
