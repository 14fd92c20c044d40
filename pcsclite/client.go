package pcsclite

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// DefaultPath is pcscd's socket. The environment variable of [EnvPath] names
// another one.
const (
	DefaultPath = "/run/pcscd/pcscd.comm"
	EnvPath     = "PCSCLITE_CSOCK_NAME"
)

// Client is one context of a program with a resource manager. Its methods may
// be called from anywhere and run one after the other. Each obeys its context;
// one that is cut short leaves the connection where nothing can be told any
// more, and every later call fails with the same error.
type Client struct {
	path    string
	conn    net.Conn
	id      uint32 // the context
	version versionBody

	mu     sync.Mutex
	broken error
}

// Dial connects to a resource manager, agrees on a version and establishes a
// context. An empty path is the environment's, else [DefaultPath].
func Dial(ctx context.Context, path string) (*Client, error) {
	c, err := connectTo(ctx, path)
	if err != nil {
		return nil, err
	}
	m := establishBody{}
	if err = c.call(ctx, cmdEstablish, &m, nil, &m.RV); err != nil {
		return nil, errors.Join(fmt.Errorf("establish a PC/SC context: %w", err), c.conn.Close())
	}
	c.id = m.Context
	return c, nil
}

// connectTo is Dial without the context.
func connectTo(ctx context.Context, path string) (*Client, error) {
	if path == "" {
		path = os.Getenv(EnvPath)
	}
	if path == "" {
		path = DefaultPath
	}
	conn, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("reach the PC/SC resource manager (is pcscd running? %s names its socket): %w", EnvPath, err)
	}
	c := &Client{path: path, conn: conn}
	if err := c.agree(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("agree on a version with the PC/SC resource manager at %s: %w", path, err), conn.Close())
	}
	return c, nil
}

// agree asks for the newest version and takes the next older one that the
// resource manager accepts.
func (c *Client) agree(ctx context.Context) error {
	var err error
	for minor := uint32(maxMinorClient); minor >= minMinor; minor-- {
		m := versionBody{Major: major, Minor: minor}
		err = c.call(ctx, cmdVersion, &m, nil, &m.RV)
		if c.version = m; err == nil {
			c.version.Minor = minor
			return nil
		}
		if !errors.Is(err, EServiceStopped) {
			return err
		}
	}
	return fmt.Errorf("it speaks %d:%d, here are %d:%d to %d:%d: %w", c.version.Major, c.version.Minor, major, minMinor, major, maxMinorClient, err)
}

// Version is the version of the protocol that was agreed on.
func (c *Client) Version() (major, minor int) {
	return int(c.version.Major), int(c.version.Minor)
}

// Close ends the context and all its connections, and whatever call is under
// way.
func (c *Client) Close() error {
	err := c.conn.Close() // before the lock, which a call may hold while it waits
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broken == nil {
		c.broken = net.ErrClosed
	}
	return err
}

// Release ends the context in words; [Client.Close] has to follow.
func (c *Client) Release(ctx context.Context) error {
	m := releaseBody{Context: c.id}
	return c.call(ctx, cmdRelease, &m, nil, &m.RV)
}

// Readers are the readers and their states, in the resource manager's order.
func (c *Client) Readers(ctx context.Context) ([]ReaderState, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := make([]byte, MaxReaders*stateSize)
	if err := c.exchange(ctx, cmdReaders, nil, nil, b); err != nil {
		return nil, err
	}
	return c.parseStates(b)
}

func (c *Client) parseStates(b []byte) ([]ReaderState, error) {
	var all []ReaderState
	for ; len(b) > 0; b = b[stateSize:] {
		s, err := parseState(b[:stateSize])
		if err != nil {
			return nil, c.fail(err)
		}
		if s.Name != "" {
			all = append(all, s)
		}
	}
	return all, nil
}

// ReaderEvents is the number of readers that came and went. It needs protocol
// 4:5, else the error is [EUnsupported].
func (c *Client) ReaderEvents(ctx context.Context) (uint32, error) {
	if c.version.Minor < 5 {
		return 0, EUnsupported
	}
	var m eventsBody
	c.mu.Lock()
	defer c.mu.Unlock()
	b := make([]byte, binary.Size(m))
	if err := c.exchange(ctx, cmdReaderEvents, nil, nil, b); err != nil {
		return 0, err
	}
	return m.Events, errors.Join(decode(b, &m), asError(m.RV))
}

// Cancel ends a [Client.Watch] of this context that runs in another goroutine:
// it fails with [ECancelled]. It takes a connection of its own.
func (c *Client) Cancel(ctx context.Context) error {
	other, err := connectTo(ctx, c.path)
	if err != nil {
		return err
	}
	m := handleBody{Handle: c.id}
	err = other.call(ctx, cmdCancel, &m, nil, &m.RV)
	return errors.Join(err, other.conn.Close())
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

// exchange sends a request and fills the answer.
func (c *Client) exchange(ctx context.Context, cmd command, body any, payload, answer []byte) error {
	if c.broken != nil {
		return c.broken
	}
	b, err := appendRequest(nil, cmd, body, payload)
	if err != nil {
		return err
	}
	defer c.watch(ctx)()
	if _, err := c.conn.Write(b); err != nil {
		return c.cut(ctx, err)
	}
	return c.fill(ctx, answer)
}

// fill reads exactly an answer or a part of one.
func (c *Client) fill(ctx context.Context, b []byte) error {
	if _, err := io.ReadFull(c.conn, b); err != nil {
		return c.cut(ctx, err)
	}
	return nil
}

// watch ends what waits on the connection when ctx is done, until the
// function that it returns is called.
func (c *Client) watch(ctx context.Context) func() {
	done := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(done)
		// A failure means that the connection is closed: nothing waits then.
		_ = c.conn.SetDeadline(time.Unix(1, 0))
	})
	return func() {
		if !stop() {
			<-done
		}
		_ = c.conn.SetDeadline(time.Time{}) // likewise
	}
}

// cut ends the connection after an error in the middle of an exchange.
func (c *Client) cut(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return c.fail(fmt.Errorf("PC/SC resource manager at %s: %w", c.path, err))
}

// fail makes err the end of the connection.
func (c *Client) fail(err error) error {
	c.broken = err
	// The error that ended it is the one to tell.
	_ = c.conn.Close()
	return err
}
