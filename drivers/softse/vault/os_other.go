//go:build !unix

package vault

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
)

// Without flock(2) and the fsync of a directory none of the promises can be
// kept, so there is no state there rather than a weak one.

func (d *osDisk) Lock(name string, _ bool, _ time.Duration) (io.Closer, error) {
	return nil, fmt.Errorf("lock %s: %w on this operating system", name, errors.ErrUnsupported)
}

func syncOpenDir(dir *os.File) error {
	return fmt.Errorf("fsync of directory %s: %w on this operating system", dir.Name(), errors.ErrUnsupported)
}

func worldWritable(fs.FileMode) bool { return false }

func openToOthers(fs.FileMode) bool { return false }
