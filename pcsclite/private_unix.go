//go:build unix

package pcsclite

import (
	"io/fs"
	"os"
	"syscall"
)

// private tells whether a directory is this user's and has mode 0700, as the XDG
// Base Directory Specification demands of XDG_RUNTIME_DIR.
func private(info fs.FileInfo) bool {
	owner, ok := info.Sys().(*syscall.Stat_t)
	return ok && info.IsDir() && info.Mode().Perm() == 0o700 && int64(owner.Uid) == int64(os.Getuid())
}
