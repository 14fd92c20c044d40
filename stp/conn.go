package stp

import (
	"crypto/tls"
	"io"
	"net"
	"sync"
	"time"
)

// Conn is a client's connection with the deadlines that every door needs.
type Conn struct {
	*tls.Conn
	idle, write time.Duration

	mu        sync.Mutex
	ended     error     // why no more input is taken
	killed    bool      // output is not taken either
	deaf      bool      // the client has not taken an answer
	readArmed time.Time // when the deadlines were last set
	writeArm  time.Time
}

func newConn(c *tls.Conn, l Limits) *Conn {
	return &Conn{Conn: c, idle: l.Idle, write: l.Write}
}

// slack is how late a deadline may be set again, as a part of its time: doing
// it for every command would cost more than the command.
const slack = 256

// past is a deadline that wakes whoever waits.
var past = time.Unix(1, 0)

// AwaitInput gives the client its idle time from now on to send the next
// complete input. It is called when one has been dealt with; reads in between
// do not prolong the time. [ErrDraining] says that no more is to be taken.
func (c *Conn) AwaitInput() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended != nil {
		return c.ended
	}
	now := time.Now()
	if now.Sub(c.readArmed) < c.idle/slack {
		return nil
	}
	c.readArmed = now
	return c.SetReadDeadline(now.Add(c.idle))
}

// Ended tells why no more input is to be taken, nil while it is.
func (c *Conn) Ended() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ended
}

// Write sends an answer, for which the client has the write time.
func (c *Conn) Write(b []byte) (int, error) {
	if err := c.armWrite(); err != nil {
		return 0, err
	}
	n, err := c.Conn.Write(b)
	if err != nil {
		c.mu.Lock()
		c.deaf = true
		c.mu.Unlock()
	}
	return n, err
}

// After its goodbye the server takes, and drops, what the client still sends:
// a connection that is closed with input unread is reset, and the reset can
// overtake the last answer.
const (
	lingerTime  = time.Second
	lingerBytes = 2 << 20
)

// goodbye sends close_notify, unless the client has shown that it would not
// take it, and closes the connection.
func (c *Conn) goodbye() error {
	c.mu.Lock()
	deaf := c.deaf
	c.mu.Unlock()
	raw := c.raw()
	if deaf || c.CloseWrite() != nil {
		return raw.Close()
	}
	if tcp, ok := raw.(*net.TCPConn); ok && tcp.CloseWrite() == nil && tcp.SetReadDeadline(time.Now().Add(lingerTime)) == nil {
		// Whatever ends it, the connection is closed now.
		_, _ = io.CopyN(io.Discard, tcp, lingerBytes)
	}
	return raw.Close()
}

func (c *Conn) armWrite() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); !c.killed && now.Sub(c.writeArm) >= c.write/slack {
		c.writeArm = now
		return c.SetWriteDeadline(now.Add(c.write))
	}
	return nil
}

// end ends the taking of input; a reader that waits wakes up.
func (c *Conn) end(why error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended == nil {
		c.ended = why
	}
	// A connection that refuses a deadline is closed already.
	_ = c.SetReadDeadline(past)
}

// kill ends input and output; whoever waits for either wakes up.
func (c *Conn) kill() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended == nil {
		c.ended = net.ErrClosed
	}
	c.killed = true
	_ = c.SetDeadline(past) // as above
}
