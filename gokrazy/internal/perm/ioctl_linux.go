package perm

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// ioctl passes a buffer by its address.
func ioctl(fd uintptr, request uint, buf *[256]byte) error {
	if _, _, e := unix.Syscall(unix.SYS_IOCTL, fd, uintptr(request), uintptr(unsafe.Pointer(buf))); e != 0 {
		return e
	}
	return nil
}
