//go:build unix

package statefile

import (
	"io/fs"
	"os"
	"syscall"
)

// NoWait are the flags by which nothing is waited for that is opened, nor
// becomes the terminal of the process. Package os closes all at an execution.
const NoWait = syscall.O_NONBLOCK | syscall.O_NOCTTY

const (
	noFollow = syscall.O_NOFOLLOW
	onlyDir  = syscall.O_DIRECTORY
)

const judgesModes = true

func owner(info fs.FileInfo) int {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(st.Uid)
	}
	return -1 // of no file system that this is for
}

// foreign tells whether somebody else owns a file. Root can do all that an owner
// can, and is no one else.
func foreign(info fs.FileInfo) bool {
	uid := owner(info)
	return uid != os.Geteuid() && uid != 0
}

func names(info fs.FileInfo) int {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(st.Nlink)
	}
	return 1
}

// flock tries for a lock that lasts until the file is closed.
func flock(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) }

// taken tells whether somebody else has the lock, or a signal came.
func taken(err error) bool { return err == syscall.EWOULDBLOCK || err == syscall.EINTR }

func syncDir(dir *os.File) error { return dir.Sync() }
