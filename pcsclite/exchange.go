package pcsclite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// ErrUnsettled says that a call was cut short and has not been answered yet.
// [Client.Settle] waits for that.
var ErrUnsettled = errors.New("the resource manager has not answered yet")

// owed is what is still to come of an answer that nobody waits for.
type owed struct {
	body []byte
	have int // bytes of body
	cmd  command
	skip int // bytes behind the body, once that is there
}

// Settle waits until a call that was cut short has been answered. The answer is
// lost, and the Client as good as before.
func (c *Client) Settle(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broken != nil || c.owed == nil {
		return c.broken
	}
	c.arm(ctx)
	o := c.owed
	if o.have < len(o.body) {
		n, err := c.in.fill(c.conn, o.body[o.have:])
		if o.have += n; err != nil {
			return c.owing(ctx, err)
		}
		if o.skip = tailLen(o.cmd, o.body); o.skip > MaxTransfer {
			return c.fail(fmt.Errorf("%w: %d bytes follow, the most are %d", errMalformed, o.skip, MaxTransfer))
		}
	}
	for b := make([]byte, min(o.skip, 1<<10)); o.skip > 0; {
		n, err := c.in.fill(c.conn, b[:min(o.skip, len(b))])
		if o.skip -= n; err != nil {
			return c.owing(ctx, err)
		}
	}
	c.owed = nil
	return nil
}

// tailLen is how many bytes follow the body of an answer.
func tailLen(cmd command, body []byte) int {
	switch cmd {
	case cmdTransmit:
		if order.Uint32(body[28:]) == uint32(Success) {
			return int(order.Uint32(body[24:]))
		}
	case cmdControl:
		if order.Uint32(body[20:]) == uint32(Success) {
			return int(order.Uint32(body[16:]))
		}
	}
	return 0
}

// asError is an error for every code but success.
func asError(rv uint32) error {
	if rv == uint32(Success) {
		return nil
	}
	return Code(rv)
}

// call sends a body and reads the answer into it.
func (c *Client) call(ctx context.Context, cmd command, body any, payload []byte, rv *uint32) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.locked(ctx, cmd, body, payload, rv)
}

func (c *Client) locked(ctx context.Context, cmd command, body any, payload []byte, rv *uint32) error {
	b := make([]byte, bodySizes[cmd])
	if err := c.exchange(ctx, cmd, body, payload, b); err != nil {
		return err
	}
	if err := decode(b, body); err != nil {
		return c.fail(err)
	}
	return asError(*rv)
}

// exchange sends a request and fills the answer, which belongs to the client from
// then on where it fails.
func (c *Client) exchange(ctx context.Context, cmd command, body any, payload, answer []byte) error {
	b, err := appendRequest(c.out[:0], cmd, body, payload)
	if err != nil {
		return err
	}
	if err := c.send(ctx, b); err != nil {
		return err
	}
	return c.receive(ctx, cmd, answer)
}

// keepOut is the longest request whose buffer is used again.
const keepOut = 1 << 10

// send sends a request that was made in c.out.
func (c *Client) send(ctx context.Context, request []byte) error {
	switch {
	case c.broken != nil:
		return c.broken
	case c.owed != nil:
		return ErrUnsettled
	case ctx.Err() != nil:
		return ended(ctx)
	}
	if c.out = request; cap(request) > keepOut {
		c.out = nil
	}
	c.arm(ctx)
	n, err := c.conn.Write(request)
	if n == 0 && ctx.Err() != nil && errors.Is(err, os.ErrDeadlineExceeded) {
		return ended(ctx) // nothing was sent
	}
	if err != nil {
		return c.cut(ctx, err)
	}
	return nil
}

// receive fills the body of an answer. Where ctx ends the wait it is owed.
func (c *Client) receive(ctx context.Context, cmd command, body []byte) error {
	if c.prompt == nil {
		c.prompt = promptly(c.conn)
	}
	n, err := c.in.fill(c.prompt, body)
	if err == nil {
		return nil
	}
	c.owed = &owed{body: body, have: n, cmd: cmd}
	return c.owing(ctx, err)
}

// owing is the error of a read that was cut short while an answer is owed.
func (c *Client) owing(ctx context.Context, err error) error {
	if ctx.Err() == nil || !errors.Is(err, os.ErrDeadlineExceeded) {
		return c.cut(ctx, err)
	}
	return fmt.Errorf("%w: %w", ErrUnsettled, ended(ctx))
}

// tail reads the n bytes that follow an answer's body.
func (c *Client) tail(ctx context.Context, n uint32) ([]byte, error) {
	if n > MaxTransfer {
		return nil, c.fail(fmt.Errorf("%w: %d bytes follow, the most are %d", errMalformed, n, MaxTransfer))
	}
	b := make([]byte, n)
	have, err := c.in.fill(c.conn, b)
	if err != nil {
		c.owed = &owed{skip: int(n) - have}
		return nil, c.owing(ctx, err)
	}
	return b, nil
}

// cut ends the connection after an error in the middle of an exchange.
func (c *Client) cut(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		err = ended(ctx)
	} else {
		err = fmt.Errorf("%w: %w", ENoService, err)
	}
	return c.fail(fmt.Errorf("PC/SC resource manager at %s: %w", c.path, err))
}

// ended is why a context is done.
func ended(ctx context.Context) error {
	if cause := context.Cause(ctx); cause != ctx.Err() {
		return fmt.Errorf("%w: %w", ctx.Err(), cause)
	}
	return ctx.Err()
}

// fail makes err the end of the connection.
func (c *Client) fail(err error) error {
	c.broken, c.owed = err, nil
	// The error that ended it is the one to tell.
	_ = c.conn.Close()
	return err
}

// alarm ends what waits on the connection when a context is done. It stays set
// from call to call as long as they have the same one.
type alarm struct {
	done  <-chan struct{} // of the context; nil: there is none
	stop  func() bool
	fired chan struct{}
}

func (c *Client) arm(ctx context.Context) {
	done := ctx.Done()
	if done == c.alarm.done {
		return
	}
	c.disarm()
	if done == nil {
		return
	}
	fired := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(fired)
		// A failure means that the connection is closed: nothing waits then.
		_ = c.conn.SetDeadline(time.Unix(1, 0))
	})
	c.alarm = alarm{done, stop, fired}
}

func (c *Client) disarm() {
	if c.alarm.done != nil && !c.alarm.stop() {
		<-c.alarm.fired
		_ = c.conn.SetDeadline(time.Time{}) // likewise
	}
	c.alarm = alarm{}
}

// inbox reads answers: the body and what follows it come in one read where they
// are there at once.
type inbox struct {
	buf  [512]byte
	r, w int // buf[r:w] is unread
}

// fill reads exactly as many bytes as b has, or tells how many came.
func (i *inbox) fill(conn io.Reader, b []byte) (n int, err error) {
	for n < len(b) {
		if i.r == i.w && len(b)-n >= len(i.buf) {
			more, err := conn.Read(b[n:])
			if n += more; err != nil && n < len(b) {
				return n, short(err, n)
			}
			continue
		}
		if i.r == i.w {
			i.r = 0
			if i.w, err = conn.Read(i.buf[:]); i.w == 0 && err != nil {
				return n, short(err, n)
			}
		}
		more := copy(b[n:], i.buf[i.r:i.w])
		n, i.r = n+more, i.r+more
	}
	return n, nil
}

// short makes an end in the middle one that says so.
func short(err error, n int) error {
	if n > 0 && errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
