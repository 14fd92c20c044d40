package devfile

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// maxBuffer bounds what is copied from or to a client at once.
const maxBuffer = 1 << 17

// peek copies n bytes from a client.
func (i ioctl) peek(address uint64, n int) ([]byte, error) {
	if n < 0 || n > maxBuffer {
		return nil, unix.EINVAL
	}
	b := make([]byte, n)
	if n == 0 {
		return b, nil
	}
	return b, i.copy(unix.ProcessVMReadv, b, address)
}

// poke copies b to a client.
func (i ioctl) poke(address uint64, b []byte) error {
	if len(b) == 0 {
		return nil
	}
	return i.copy(unix.ProcessVMWritev, b, address)
}

func (i ioctl) copy(call func(int, []unix.Iovec, []unix.RemoteIovec, uint) (int, error), b []byte, address uint64) error {
	local := unix.Iovec{Base: &b[0]}
	local.SetLen(len(b))
	n, err := call(i.caller, []unix.Iovec{local}, []unix.RemoteIovec{{Base: uintptr(address), Len: len(b)}}, 0)
	if err == nil && n != len(b) {
		err = fmt.Errorf("%d of %d bytes: %w", n, len(b), unix.EFAULT)
	}
	return err
}
