// Package client sends updates to a box: the client's side of the protocol of
// package update.
package client

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/cloud-of-se/tses/update"
)

// Refusal is a box's reason not to do what was asked. Nothing has changed there
// but perhaps what the slot held that does not run.
type Refusal string

// Error is the reason.
func (r Refusal) Error() string { return string(r) }

// ErrNotBox says that a TSES takes no updates.
var ErrNotBox = errors.New("this TSES takes no updates: it does not run from an SD card, or from one that is older than updates")

// Options bound what the client waits for. A zero is replaced by the default.
type Options struct {
	Connect time.Duration // until TLS stands; default 10 s
	Answer  time.Duration // for the next line of the box, or for it to take more; default 2 min
	Whole   time.Duration // for all of it, whatever the box says meanwhile; default 30 min
}

func (o Options) withDefaults() Options {
	if o.Connect <= 0 {
		o.Connect = 10 * time.Second
	}
	if o.Answer <= 0 {
		o.Answer = 2 * time.Minute
	}
	if o.Whole <= 0 {
		o.Whole = 30 * time.Minute // a box gives it 20
	}
	return o
}

// errWhole is why all of it has an end.
var errWhole = errors.New("the box has not done with it in time, and may have it or not; racs update shows what it runs")

// bound ends the context when the time for all of it is over.
func (o Options) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, o.withDefaults().Whole, errWhole)
}

// conn is a connection for one request.
type conn struct {
	*tls.Conn
	in     *bufio.Reader
	answer time.Duration
	stop   func() bool
}

// dial connects. config is that of RACS.
func dial(ctx context.Context, addr string, config *tls.Config, o Options) (*conn, error) {
	o = o.withDefaults()
	config = config.Clone()
	config.NextProtos = []string{update.Protocol}
	connecting, cancel := context.WithTimeout(ctx, o.Connect)
	defer cancel()
	raw, err := (&tls.Dialer{Config: config}).DialContext(connecting, "tcp", addr)
	if err != nil {
		if alert, ok := errors.AsType[*net.OpError](err); ok && alert.Op == "remote error" && alert.Err.Error() == noProtocol {
			return nil, ErrNotBox
		}
		return nil, fmt.Errorf("connect to %s: %w", addr, err)
	}
	c := raw.(*tls.Conn)
	if c.ConnectionState().NegotiatedProtocol != update.Protocol {
		return nil, errors.Join(ErrNotBox, c.Close())
	}
	// A deadline in the past wakes whoever waits.
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	return &conn{c, bufio.NewReaderSize(c, update.MaxLine+1), o.Answer, stop}, nil
}

// noProtocol is how the alert no_application_protocol (RFC 7301, 3.2) reads;
// its type is not to be had.
const noProtocol = "tls: no application protocol"

// Close ends the connection. Everything has been said.
func (c *conn) Close() {
	c.stop()
	_ = c.Conn.Close()
}

// line reads the next line, which is a refusal or one of the words.
func (c *conn) line(ctx context.Context, words ...string) (word string, rest []byte, err error) {
	if err := c.extend(ctx); err != nil {
		return "", nil, err
	}
	word, rest, err = update.ReadLine(c.in)
	if cause := context.Cause(ctx); cause != nil && err != nil {
		err = cause
	}
	if err != nil {
		return "", nil, noAnswer(err)
	}
	if word == update.WordNo {
		return "", nil, Refusal(rest)
	}
	for _, w := range words {
		if w == word {
			return word, rest, nil
		}
	}
	return "", nil, fmt.Errorf("%w: it says %q", update.ErrProtocol, word)
}

// extend gives the box its time again, unless the context is done.
func (c *conn) extend(ctx context.Context) error {
	if err := c.SetDeadline(time.Now().Add(c.answer)); err != nil {
		return err
	}
	return context.Cause(ctx) // which may have come before the deadline
}

func noAnswer(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("the box has closed the connection")
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return errors.New("the box does not answer")
	}
	return err
}

// Status asks a box how it stands.
func Status(ctx context.Context, addr string, config *tls.Config, o Options) (update.Status, error) {
	var s update.Status
	ctx, cancel := o.bound(ctx)
	defer cancel()
	c, err := dial(ctx, addr, config, o)
	if err != nil {
		return s, err
	}
	defer c.Close()
	if err := c.extend(ctx); err != nil {
		return s, err
	}
	if err := update.WriteLine(c, update.WordStatus, nil); err != nil {
		return s, noAnswer(err)
	}
	return s, c.read(ctx, update.WordStatus, &s)
}

func (c *conn) read(ctx context.Context, word string, v any) error {
	_, rest, err := c.line(ctx, word)
	if err != nil {
		return err
	}
	return update.Decode(rest, v)
}

// Put sends a bundle. It returns how the box stands before its restart, which
// comes at once. progress is told what the box says of it. What is not all of a
// bundle, or more than one, is not begun to be sent.
func Put(ctx context.Context, addr string, config *tls.Config, o Options, asked update.Asked, bundle io.ReadSeeker, progress func(update.Progress)) (update.Status, error) {
	var s update.Status
	_, head, body, err := update.Inspect(bundle)
	if err != nil {
		return s, err
	}
	ctx, cancel := o.bound(ctx)
	defer cancel()
	c, err := dial(ctx, addr, config, o)
	if err != nil {
		return s, err
	}
	defer c.Close()
	if err := c.extend(ctx); err != nil {
		return s, err
	}
	err = update.WriteLine(c, update.WordPut, asked)
	if err == nil {
		_, err = io.CopyN(c, bundle, head)
	}
	if err != nil {
		return s, c.because(ctx, err)
	}
	if _, _, err := c.line(ctx, update.WordGo); err != nil {
		return s, err
	}
	return c.body(ctx, bundle, body, progress)
}

// because prefers what the box has said to an error of sending.
func (c *conn) because(ctx context.Context, err error) error {
	if _, _, said := c.line(ctx); errors.As(said, new(Refusal)) {
		return said
	}
	return noAnswer(err)
}

// body sends the parts, so many bytes, and reads the while what the box says,
// which counts: after its DONE the update stands, whatever has become of the last
// bytes that were sent, and its reason to refuse says more than the connection
// that it closes behind it. Only where the parts cannot be read there is nothing
// to wait for.
func (c *conn) body(ctx context.Context, parts io.Reader, size int64, progress func(update.Progress)) (update.Status, error) {
	sent := make(chan error, 1) // what is wrong with the parts
	go func() {
		from := &source{r: parts}
		n, _ := io.CopyN(struct{ io.Writer }{c}, from, size) // of the connection's errors the box says more
		if from.err != nil && n < size {
			_ = c.Conn.NetConn().Close() // ends the reading
			sent <- fmt.Errorf("read the bundle: %w", from.err)
			return
		}
		sent <- nil
	}()
	s, err := c.follow(ctx, progress)
	_ = c.Conn.NetConn().Close() // ends the sending
	if unread := <-sent; unread != nil && err != nil {
		err = unread
	}
	return s, err
}

// source remembers what was wrong with a reader.
type source struct {
	r   io.Reader
	err error
}

func (s *source) Read(b []byte) (int, error) {
	n, err := s.r.Read(b)
	if s.err = err; errors.Is(err, io.EOF) {
		s.err = io.ErrUnexpectedEOF // unless it was the last byte
	}
	return n, err
}

// follow reads lines up to the last.
func (c *conn) follow(ctx context.Context, progress func(update.Progress)) (s update.Status, err error) {
	for {
		word, rest, err := c.line(ctx, update.WordAt, update.WordDone)
		if err != nil {
			return s, err
		}
		if word == update.WordDone {
			return s, update.Decode(rest, &s)
		}
		var p update.Progress
		if err := update.Decode(rest, &p); err != nil {
			return s, err
		}
		progress(p)
	}
}
