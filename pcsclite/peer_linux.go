package pcsclite

import (
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
)

// peer names the program at the other end of a socket, for the log: who holds
// a card is the question behind each sharing violation.
func peer(conn net.Conn) string {
	unix, ok := conn.(*net.UnixConn)
	if !ok {
		return "a program"
	}
	raw, err := unix.SyscallConn()
	if err != nil {
		return "a program"
	}
	pid := int32(0)
	err = raw.Control(func(fd uintptr) {
		if cred, err := syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED); err == nil {
			pid = cred.Pid
		}
	})
	if err != nil || pid == 0 {
		return "a program"
	}
	name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		name = []byte("process") // it may have ended
	}
	return fmt.Sprintf("%s[%d]", strings.TrimSpace(string(name)), pid)
}
