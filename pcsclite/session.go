package pcsclite

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// writeBound ends a write to a program that does not read.
const writeBound = 10 * time.Second

// session is one program's context: one connection of libpcsclite.
type session struct {
	srv  *Server
	conn net.Conn
	who  string
	ctx  context.Context // ends when the program goes
	stop context.CancelFunc
	out  sync.Mutex // one answer at a time

	minor   uint32 // of the version that was agreed on
	context uint32 // 0: none established
	pending bool   // since 4:6: a wait begins with the next answer of the readers
	handles map[uint32]*handle

	waiting sync.Mutex // guards waiter
	waiter  *waiter
	wg      sync.WaitGroup // waiters' goroutines
}

// request is one message of a program.
type request struct {
	cmd     command
	body    []byte
	payload []byte
}

func newSession(s *Server, conn net.Conn) *session {
	c := &session{srv: s, conn: conn, who: peer(conn), handles: map[uint32]*handle{}}
	c.ctx, c.stop = context.WithCancel(s.ctx)
	return c
}

// hangUp ends the session from outside.
func (c *session) hangUp() {
	c.stop()
	_ = c.conn.Close() // the reading side tells what there is to tell
}

// serve answers requests until the program goes. One goroutine reads ahead by
// one request, and so sees the program go while another one still waits for a
// lock or a card.
func (c *session) serve() {
	requests := make(chan request)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer close(requests)
		defer c.stop()
		c.read(requests)
	}()
	for req := range requests {
		if err := c.handle(req); err != nil {
			c.ended(err)
			break
		}
	}
	c.hangUp()
	for range requests { // what was read ahead
	}
	<-done
	c.cleanUp()
	c.wg.Wait()
}

// ended tells why the server ended a session.
func (c *session) ended(err error) {
	if c.ctx.Err() == nil {
		c.srv.log.Warn("connection of a program ended", "program", c.who, "error", err)
	}
}

func (c *session) read(requests chan<- request) {
	for {
		req, err := readRequest(c.conn)
		if err != nil {
			if !errors.Is(err, io.EOF) {
				c.ended(err)
			}
			return
		}
		select {
		case requests <- req:
		case <-c.ctx.Done():
			return
		}
	}
}

// readRequest reads one message. Nothing is kept before it is known to be
// within its bounds.
func readRequest(r io.Reader) (request, error) {
	var header [headerSize]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return request{}, err
	}
	cmd, size, err := parseHeader(header[:])
	if err != nil {
		return request{}, err
	}
	req := request{cmd: cmd, body: make([]byte, size)}
	if _, err := io.ReadFull(r, req.body); err != nil {
		return request{}, fmt.Errorf("%w: command %d is cut short: %w", errMalformed, cmd, err)
	}
	n, err := payloadLen(cmd, req.body)
	if err != nil {
		return request{}, err
	}
	req.payload = make([]byte, n)
	if _, err := io.ReadFull(r, req.payload); err != nil {
		return request{}, fmt.Errorf("%w: command %d is cut short: %w", errMalformed, cmd, err)
	}
	return req, nil
}

// answer sends a body and what follows it in one write.
func (c *session) answer(body any, payload []byte) error {
	b, err := binary.Append(nil, order, body)
	if err != nil {
		return fmt.Errorf("encode an answer: %w", err)
	}
	return c.send(append(b, payload...))
}

func (c *session) send(b []byte) error {
	c.out.Lock()
	defer c.out.Unlock()
	if err := c.conn.SetWriteDeadline(time.Now().Add(writeBound)); err != nil {
		return err
	}
	_, err := c.conn.Write(b)
	return err
}

// cleanUp ends the connections of a program that is gone. A card inside its
// transaction is reset, for nobody knows how far it came.
func (c *session) cleanUp() {
	c.srv.mu.Lock()
	delete(c.srv.contexts, c.context)
	c.srv.mu.Unlock()
	c.context = 0
	for id, h := range c.handles {
		d := Leave
		c.srv.mu.Lock()
		if h.reader.lock == h && h.lost == Success {
			d = Reset
		}
		c.srv.mu.Unlock()
		if err := h.reader.disconnect(context.Background(), h, d); err != nil {
			c.srv.log.Warn("end of a connection failed", "reader", h.reader.Name(), "program", c.who, "error", err)
		}
		delete(c.handles, id)
	}
}
