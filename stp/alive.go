package stp

import (
	"errors"
	"net"
	"time"
)

// A client whose machine is gone, or has another address now, does not say so.
// The kernel asks one that is silent, and ends the connection where nothing
// answers, after SilentTime: its SEs are then free for others. That is more than
// the twenty seconds for which a network may stall.
const (
	SilentTime    = 25 * time.Second
	aliveIdle     = 10 * time.Second
	aliveInterval = 5 * time.Second
	aliveProbes   = 3
)

// ErrSilent is why a session ends whose client's machine answers nothing.
var ErrSilent = errors.New("the client's machine does not answer any more")

// KeepAlive has the kernel end a connection whose other side is silent for
// [SilentTime], whether something is on its way to it or not. A connection that is
// not TCP is left as it is.
func KeepAlive(c net.Conn) error {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return nil
	}
	return errors.Join(
		tcp.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: aliveIdle, Interval: aliveInterval, Count: aliveProbes}),
		userTimeout(tcp, SilentTime))
}

// raw is the connection below TLS and the door.
func (c *Conn) raw() net.Conn {
	raw := c.NetConn()
	if a, ok := raw.(*arrival); ok {
		raw = a.Conn
	}
	return raw
}

// Gone is [ErrSilent] where the kernel has found that nobody is there to take an
// answer. A client that only sends nothing more is there.
func (c *Conn) Gone() error {
	if tcp, ok := c.raw().(*net.TCPConn); ok && closedByKernel(tcp) {
		return ErrSilent
	}
	return nil
}
