package vpcd

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/cloud-of-se/tses/drivers"
)

// The control messages of vpcd's protocol: messages of one byte.
const (
	controlOff   = 0x00
	controlOn    = 0x01
	controlReset = 0x02
	controlATR   = 0x04
)

// maxMessage is what the 16 bits of a length allow.
const maxMessage = 0xFFFF

// Card is a card in a reader of vpcd. It speaks vpcd's protocol: a length of
// two bytes, big endian, and as many bytes, which are a control message if
// there is one and an APDU if there are more.
type Card struct {
	conn *net.TCPConn
	se   drivers.SE
	atr  []byte

	ctx    context.Context // ends the calls of the SE
	cancel context.CancelFunc
	done   chan struct{}
	left   time.Time // when it left the reader; set before done is closed

	mu  sync.Mutex
	err error // why it left the reader by itself
}

// Insert puts a card into the reader of vpcd that listens at an address. The SE
// must be off; it answers one reset at once, because vpcd asks for the ATR of a
// card without power too.
func Insert(ctx context.Context, addr string, se drivers.SE) (*Card, error) {
	atr, err := se.PowerOn(ctx)
	if err == nil {
		err = se.PowerOff(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("vpcd: insert %s: %w", se, err)
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("vpcd: insert %s: %w; does pcscd run with a reader there?", se, err)
	}
	c := &Card{conn: conn.(*net.TCPConn), se: se, atr: atr, done: make(chan struct{})}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	go func() {
		defer close(c.done)
		c.serve()
		c.left = time.Now()
	}()
	return c, nil
}

// Pull takes the card out, whatever it is doing, and returns why it had left
// the reader before by itself, if it had.
func (c *Card) Pull() error {
	c.cancel()
	err := c.conn.Close()
	<-c.done
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return c.err
	}
	if errors.Is(err, net.ErrClosed) { // by serve, whose command was cut short
		return nil
	}
	return err
}

// Gone is closed when the card has left the reader.
func (c *Card) Gone() <-chan struct{} { return c.done }

// serve answers until the connection ends, and takes the power from the SE.
func (c *Card) serve() {
	err := c.answerAll()
	off, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	err = errors.Join(err, c.se.PowerOff(off), c.conn.Close())
	if c.ctx.Err() == nil { // not pulled
		c.mu.Lock()
		c.err = fmt.Errorf("vpcd: %s left the reader: %w", c.se, err)
		c.mu.Unlock()
	}
}

func (c *Card) answerAll() error {
	buf := make([]byte, 2+maxMessage)
	for {
		// vpcd sends length and message by themselves. Without an
		// acknowledgement at once the second waits 40 ms, and the kernel forgets
		// the wish whenever it likes.
		if err := quickAck(c.conn); err != nil {
			return err
		}
		if _, err := io.ReadFull(c.conn, buf[:2]); err != nil {
			return err
		}
		message := buf[2:][:binary.BigEndian.Uint16(buf)]
		if err := quickAck(c.conn); err != nil {
			return err
		}
		if _, err := io.ReadFull(c.conn, message); err != nil {
			return err
		}
		if err := c.answer(message); err != nil {
			return err
		}
	}
}

// answer obeys one message. An SE that fails is a card that leaves.
func (c *Card) answer(message []byte) error {
	switch {
	case len(message) == 0:
		return nil
	case len(message) > 1:
		response, err := c.se.Transmit(c.ctx, message)
		if err != nil {
			return err
		}
		return c.send(response)
	}
	switch message[0] {
	case controlOff:
		return c.se.PowerOff(c.ctx)
	case controlOn:
		_, err := c.se.PowerOn(c.ctx)
		return err
	case controlReset:
		_, err := c.se.Reset(c.ctx, drivers.Warm)
		return err
	case controlATR:
		return c.send(c.atr)
	}
	return fmt.Errorf("control message %02X is not known", message[0])
}

func (c *Card) send(message []byte) error {
	if len(message) > maxMessage {
		return fmt.Errorf("an answer of %d bytes; vpcd takes %d", len(message), maxMessage)
	}
	out := binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(message)), uint16(len(message)))
	_, err := c.conn.Write(append(out, message...))
	return err
}
