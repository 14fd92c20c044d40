//go:build !linux

package boottest

import "syscall"

// dieWithParent does nothing here: a killed test leaves QEMU behind.
func dieWithParent() *syscall.SysProcAttr { return nil }
