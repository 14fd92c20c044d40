//go:build !unix

package statefile

import (
	"io/fs"
	"os"
)

// Elsewhere there are no owners and modes in this sense, and no FIFO among the
// files: what a file is was judged before it is opened.
const (
	NoWait            = 0
	noFollow, onlyDir = 0, 0
	judgesModes       = false
)

func owner(fs.FileInfo) int { return 0 }

func foreign(fs.FileInfo) bool { return false }

func names(fs.FileInfo) int { return 1 }

func flock(*os.File) error { return nil }

func taken(error) bool { return false }

// syncDir does nothing: a directory cannot be flushed there.
func syncDir(*os.File) error { return nil }
