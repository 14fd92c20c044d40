package vpcd

import (
	"errors"
	"net"

	"golang.org/x/sys/unix"
)

// quickAck lets the kernel acknowledge what comes next without delay.
func quickAck(conn *net.TCPConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var set error
	err = raw.Control(func(fd uintptr) {
		set = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1)
	})
	return errors.Join(err, set)
}
