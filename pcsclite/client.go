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
	"syscall"
	"time"
)

// DefaultPath is pcscd's socket. The environment variable of [EnvPath] names
// another one.
const (
	DefaultPath = "/run/pcscd/pcscd.comm"
	EnvPath     = "PCSCLITE_CSOCK_NAME"
)

// Client is one context of a program with a resource manager. Its methods may
// be called from anywhere and run one after the other. Each obeys its context. A
// call that is cut short may have had its effect or have it yet: its error
// matches [ErrUnsettled] where the answer is still to come, and so does every
// call until [Client.Settle] has seen it. A resource manager that goes away
// matches [ENoService], then and in every later call.
type Client struct {
	path    string
	conn    net.Conn
	id      uint32 // the context
	version versionBody

	mu     sync.Mutex
	broken error
	owed   *owed // nil: nothing
	alarm  alarm
	out    []byte    // the request under way
	prompt io.Reader // the connection, where an answer is about to come
	in     inbox
	head   [transmitSize]byte // the answer to a transmit, without its response
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
	conn, err := reach(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("reach the PC/SC resource manager (is pcscd running? %s names its socket): %w", EnvPath, err)
	}
	c := &Client{path: path, conn: conn}
	if err := c.agree(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("agree on a version with the PC/SC resource manager at %s: %w", path, err), conn.Close())
	}
	return c, nil
}

// How long reach waits before it asks again, from the first to the last, twice as
// long each time.
const (
	firstReach = time.Millisecond
	lastReach  = 50 * time.Millisecond
)

// reach connects to a socket. Where too many wait for the resource manager to
// take them the kernel says so at once (connect(2), EAGAIN), and a program of
// libpcsclite would wait.
func reach(ctx context.Context, path string) (net.Conn, error) {
	for wait := firstReach; ; wait = min(2*wait, lastReach) {
		conn, err := new(net.Dialer).DialContext(ctx, "unix", path)
		switch {
		case err == nil:
			return conn, nil
		case ctx.Err() != nil:
			return nil, err
		case !errors.Is(err, syscall.EAGAIN):
			return nil, fmt.Errorf("%w: %w", ENoService, err)
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: too many others wait for it: %w", context.Cause(ctx), err)
		case <-time.After(wait):
		}
	}
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
	c.disarm()
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
