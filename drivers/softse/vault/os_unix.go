//go:build unix

package vault

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cloud-of-se/tses/internal/statefile"
)

// lockPoll is how often a lock that another holds is tried again.
const lockPoll = 2 * time.Millisecond

// lock uses flock(2): it belongs to the open file and not to the process, so
// two Files of one process exclude each other too, and it ends with the
// process however that ends. The file stays: removing it would let a third
// process lock a new one while the second waits for the old.
func (d *osDisk) Lock(name string, exclusive bool, wait time.Duration) (io.Closer, error) {
	f, err := d.open(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err == nil {
		err = oneName(f)
	}
	if err != nil {
		return nil, err
	}
	if err := flock(f, exclusive, wait); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if exclusive {
		if err := writePid(f); err != nil {
			return nil, errors.Join(err, f.Close())
		}
	}
	return f, nil
}

// oneName refuses a file that has others: it is written in place.
func oneName(f *os.File) error {
	if err := statefile.OneName(f); err != nil {
		return errors.Join(err, f.Close())
	}
	return nil
}

func flock(f *os.File, exclusive bool, wait time.Duration) error {
	how := unix.LOCK_SH | unix.LOCK_NB
	if exclusive {
		how = unix.LOCK_EX | unix.LOCK_NB
	}
	for deadline := time.Now().Add(wait); ; time.Sleep(lockPoll) {
		err := unix.Flock(int(f.Fd()), how)
		switch {
		case err == nil:
			return nil
		case err == unix.EINTR:
			continue
		case err != unix.EWOULDBLOCK:
			return &fs.PathError{Op: "flock", Path: f.Name(), Err: err}
		case time.Now().After(deadline):
			return fmt.Errorf("%s: %w%s", f.Name(), ErrLocked, holder(f, exclusive))
		}
	}
}

// writePid is for the message that holder makes; nothing else relies on it.
func writePid(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

func holder(f *os.File, exclusive bool) string {
	if !exclusive {
		return " by another process" // the file may name a holder of before
	}
	var b [16]byte
	n, _ := f.ReadAt(b[:], 0) // short by design; without a number, no pid is named
	pid, err := strconv.Atoi(strings.TrimSpace(string(b[:n])))
	if err != nil {
		return " by another process"
	}
	return fmt.Sprintf(" by process %d: end it first", pid)
}

func syncOpenDir(dir *os.File) error { return dir.Sync() }

func worldWritable(m fs.FileMode) bool { return m.Perm()&0o002 != 0 }

func openToOthers(m fs.FileMode) bool { return m.Perm()&0o077 != 0 }
