package pcsclite

import (
	"io"
	"net"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// promptTime is how long a read waits in the kernel before it waits as all others
// do: as long as most commands take.
const promptTime = 20 * time.Millisecond

// prompts is how many goroutines wait for an answer, in either way. One that waits
// in the kernel keeps a processor of Go's scheduler until that notices: only one
// that is alone does.
var prompts atomic.Int32

// prompt reads from a socket whose answer is about to come. To wait for it in the
// kernel takes a third less of the processor than the way through Go's poller,
// which is for what may take long.
type prompt struct {
	raw syscall.RawConn
	try func(fd uintptr) bool // a method value, made once

	// These are of the read under way.
	b     []byte
	n     int
	err   error
	alone bool
}

func promptly(conn net.Conn) io.Reader {
	socket, ok := conn.(*net.UnixConn)
	if !ok {
		return conn
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return conn
	}
	p := &prompt{raw: raw}
	p.try = p.read
	return p
}

// Read implements io.Reader. A deadline of the connection is seen when
// [promptTime] has passed.
func (p *prompt) Read(b []byte) (int, error) {
	p.b, p.n, p.err = b, 0, nil
	p.alone = prompts.Add(1) == 1 && runtime.GOMAXPROCS(0) > 1
	defer prompts.Add(-1)
	if err := p.raw.Read(p.try); err != nil {
		return 0, err
	}
	p.b = nil
	switch {
	case p.err != nil:
		return 0, p.err
	case p.n == 0 && len(b) > 0:
		return 0, io.EOF
	}
	return p.n, nil
}

// read reads once, and tells whether it had to wait no more.
func (p *prompt) read(fd uintptr) bool {
	if p.alone {
		p.alone = false // the first time
		awaitInput(int32(fd))
	}
	for {
		p.n, p.err = unix.Read(int(fd), p.b)
		if p.err != unix.EINTR {
			return p.err != unix.EAGAIN
		}
	}
}

// awaitInput waits for input or until promptTime has passed. Where it fails, the
// read that follows tells why.
func awaitInput(fd int32) {
	wait := unix.NsecToTimespec(promptTime.Nanoseconds())
	_, _ = unix.Ppoll([]unix.PollFd{{Fd: fd, Events: unix.POLLIN}}, &wait, nil)
}
