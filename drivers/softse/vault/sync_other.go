//go:build !linux

package vault

import "os"

func syncData(f *os.File) error { return f.Sync() }
