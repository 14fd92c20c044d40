//go:build unix

package vmlock

import (
	"errors"
	"os"
	"syscall"
)

// lock waits in the kernel, which has a queue: who asks now and then starves
// beside others that do.
func lock(f *os.File) error {
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}
