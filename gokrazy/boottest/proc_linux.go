package boottest

import "syscall"

// dieWithParent makes the kernel end QEMU when the test's process is killed.
func dieWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
