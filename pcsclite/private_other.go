//go:build !unix

package pcsclite

import "io/fs"

// private tells whether a directory is this user's alone. Where there are no such
// modes, none is known to be.
func private(fs.FileInfo) bool { return false }
