package stp

import (
	"errors"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// tcpClose is the state TCP_CLOSE of Linux: nothing comes or goes any more.
const tcpClose = 7

// userTimeout ends a connection whose other side acknowledges nothing for so long
// (RFC 5482).
func userTimeout(c *net.TCPConn, d time.Duration) error {
	return control(c, func(fd int) error {
		return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(d/time.Millisecond))
	})
}

// closedByKernel tells that the kernel has found the other side gone.
func closedByKernel(c *net.TCPConn) bool {
	gone := false
	err := control(c, func(fd int) error {
		info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		gone = err == nil && info.State == tcpClose
		return err
	})
	return gone || err != nil
}

func control(c *net.TCPConn, f func(fd int) error) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) { failed = f(int(fd)) })
	return errors.Join(err, failed)
}
