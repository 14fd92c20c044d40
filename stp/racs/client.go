package racs

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Options are the bounds of a [Client]. What is zero has the default that is
// said beside it.
type Options struct {
	DialTimeout      time.Duration // name resolution and TCP; 10 s
	HandshakeTimeout time.Duration // TLS, and the first answer behind it; 10 s
	RequestTimeout   time.Duration // a call whose context has no deadline; 60 s, and [APDUTimeout] with an APDU in it
	WriteTimeout     time.Duration // until the server takes what is sent to it; 30 s
	InFlight         int           // requests that are sent and not answered, further ones wait; 64

	apduTimeout time.Duration
}

// APDUTimeout is how long an APDU may take where nothing else is said: more than
// the five minutes that a TSES gives an SE that works, on a key say. That the TSES
// is gone is told earlier, by the keep-alive probes of TCP.
const APDUTimeout = 5*time.Minute + 30*time.Second

func (o Options) withDefaults() Options {
	o.apduTimeout = defaultTo(o.RequestTimeout, APDUTimeout)
	o.DialTimeout = defaultTo(o.DialTimeout, 10*time.Second)
	o.HandshakeTimeout = defaultTo(o.HandshakeTimeout, 10*time.Second)
	o.RequestTimeout = defaultTo(o.RequestTimeout, 60*time.Second)
	o.WriteTimeout = defaultTo(o.WriteTimeout, 30*time.Second)
	o.InFlight = defaultTo(o.InFlight, 64)
	return o
}

func defaultTo[T int | time.Duration](v, otherwise T) T {
	if v <= 0 {
		return otherwise
	}
	return v
}

// A Client is one RACS session. Its methods may be called by many goroutines:
// requests go out while earlier ones wait for their answers, which come in the
// same order. Close it, or the SEs that it powered on stay taken.
//
// A call whose context ends returns at once. If its request was not sent it
// never will be; else its late answer is dropped and the error matches
// [ErrOutcomeUnknown]. The session goes on and stays in step.
type Client struct {
	conn    net.Conn
	options Options
	names   atomic.Uint64 // of the requests that the client makes itself
	noRaw   atomic.Bool   // the server does not know RAW
	slots   chan struct{} // one for each request that is queued or sent
	wake    chan struct{} // says that something is queued, or that it is over
	running sync.WaitGroup

	out      []byte    // what the writer is writing
	deadline time.Time // of writing, as conn has it

	mu     sync.Mutex
	queued []*call // to be sent
	sent   []*call // to be answered, in the order of their answers
	err    error   // why it is over
	stuck  error   // why the writer gave up, while the reader looks for a better reason
}

// A call is a request on its way.
type call struct {
	request *Request    // not touched once the call is sent
	name    string      // what the answer must carry
	done    chan result // has room for the one result that it gets
}

type result struct {
	response *Response
	err      error
}

// NewClient makes a client of a connection that is ready for requests, and
// owns it from then on: [Dial] is this behind a handshake.
func NewClient(conn net.Conn, options Options) *Client {
	options = options.withDefaults()
	c := &Client{
		conn:    conn,
		options: options,
		slots:   make(chan struct{}, options.InFlight),
		wake:    make(chan struct{}, 1),
	}
	c.running.Go(c.write)
	c.running.Go(c.read)
	return c
}

// Do sends a request and waits for its answer. An answer that holds an error
// comes with that error: the [Response] has the results before it, errors.As
// finds the [Status]. Without a response the error says whether something was
// sent, see [ErrOutcomeUnknown].
func (c *Client) Do(ctx context.Context, request *Request) (*Response, error) {
	if err := request.Err(); err != nil {
		return nil, err
	}
	var overdue <-chan time.Time
	if _, bounded := ctx.Deadline(); !bounded {
		patience := c.options.RequestTimeout
		if request.works {
			patience = c.options.apduTimeout
		}
		timer := time.NewTimer(patience)
		defer timer.Stop()
		overdue = timer.C
	}
	call := &call{request: request, name: request.name, done: make(chan result, 1)}
	if err := c.enqueue(ctx, overdue, call); err != nil {
		return nil, fmt.Errorf("request %q: it was not sent: %w", request.name, err)
	}
	r, err := c.wait(ctx, overdue, call)
	if err != nil {
		return nil, fmt.Errorf("request %q: %w", request.name, err)
	}
	return r, r.Err()
}

// wait is for the call's result or for the end of the context, or of the time
// that a call without a deadline has.
func (c *Client) wait(ctx context.Context, overdue <-chan time.Time, call *call) (*Response, error) {
	var ended error
	select {
	case r := <-call.done:
		return r.response, r.err
	case <-overdue:
		ended = context.DeadlineExceeded
	case <-ctx.Done():
		ended = ctx.Err()
	}
	if c.withdraw(call) {
		return nil, fmt.Errorf("it was not sent: %w", ended)
	}
	select {
	case r := <-call.done: // both came at once
		return r.response, r.err
	default:
		return nil, fmt.Errorf("no answer: %w; %w", ended, ErrOutcomeUnknown)
	}
}

// enqueue waits for a slot and hands the call to the writer.
func (c *Client) enqueue(ctx context.Context, overdue <-chan time.Time, call *call) error {
	if err := c.slot(ctx, overdue); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		<-c.slots
		return c.err
	}
	c.queued = append(c.queued, call)
	c.signal()
	return nil
}

func (c *Client) slot(ctx context.Context, overdue <-chan time.Time) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	var ended error
	select {
	case c.slots <- struct{}{}:
		return nil
	case <-overdue:
		ended = context.DeadlineExceeded
	case <-ctx.Done():
		ended = ctx.Err()
	}
	return fmt.Errorf("%d requests wait for their answers: %w", c.options.InFlight, ended)
}

// withdraw takes back a call that was not sent. False says that it was.
func (c *Client) withdraw(call *call) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.Index(c.queued, call)
	if i < 0 {
		return false
	}
	c.queued = slices.Delete(c.queued, i, i+1)
	<-c.slots
	return true
}

// signal wakes the writer. One signal is enough for all that is queued.
func (c *Client) signal() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// write sends what is queued until the client is over. It alone writes.
func (c *Client) write() {
	for range c.wake {
		for {
			if !c.take() {
				return
			}
			if len(c.out) == 0 {
				break
			}
			if err := c.send(c.out); err != nil {
				c.letReaderSay(err)
				return
			}
		}
	}
}

// writeAtOnce is about how many bytes of requests go out in one write.
const writeAtOnce = 64 << 10

// take moves queued calls to the sent ones and their bytes to out. The copy
// lets the caller of a cancelled call do with the request what it likes. False
// says that nothing can be sent any more.
func (c *Client) take() bool {
	if cap(c.out) > 2*writeAtOnce {
		c.out = nil
	}
	c.out = c.out[:0]
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return false
	}
	n := 0
	for n < len(c.queued) && len(c.out) < writeAtOnce {
		call := c.queued[n]
		c.out = append(append(c.out, call.request.wire...), "END\r\n"...)
		call.request = nil
		c.sent = append(c.sent, call)
		n++
	}
	c.queued = slices.Delete(c.queued, 0, n)
	return true
}

// send writes within the time that the options give, or a little less: a
// deadline that is still good saves the work of setting another.
func (c *Client) send(b []byte) error {
	timeout, now := c.options.WriteTimeout, time.Now()
	if c.deadline.Sub(now) < timeout-timeout/8 {
		c.deadline = now.Add(timeout)
		if err := c.conn.SetWriteDeadline(c.deadline); err != nil {
			return err
		}
	}
	_, err := c.conn.Write(b)
	clear(b) // it may have held a PIN
	return err
}

// letReaderSay ends the client because of a failed write. The reader may know
// more: the server's alert stands in what it sent before it closed.
func (c *Client) letReaderSay(writeErr error) {
	c.mu.Lock()
	c.stuck = writeErr
	c.mu.Unlock()
	if hungUp(writeErr) && c.conn.SetReadDeadline(time.Now().Add(time.Second)) == nil {
		return // the reader ends the client, with its own error or at the deadline
	}
	c.fail(gone(writeErr))
}

// read hands out the answers until the connection ends. It alone reads, and
// so ends the client.
func (c *Client) read() {
	br := bufio.NewReaderSize(c.conn, 16<<10)
	for {
		response, err := ReadResponse(br)
		if err == nil {
			err = c.answer(response)
		}
		if err != nil {
			c.fail(gone(c.reason(err)))
			return
		}
	}
}

// reason is why reading failed: if only because the writer gave up, then what
// the writer met.
func (c *Client) reason(readErr error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stuck != nil && errors.Is(readErr, os.ErrDeadlineExceeded) {
		return c.stuck
	}
	return readErr
}

// answer gives the response to the call that it belongs to, the oldest one.
func (c *Client) answer(response *Response) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return c.err
	}
	if last, ok := response.Last(); ok && response.Name == "" && last.Failed(SystemError, Begin) {
		return last // the server ends the session, and says why
	}
	if len(c.sent) == 0 {
		return fmt.Errorf("an answer named %q without a request: %w", response.Name, ErrNotRACS)
	}
	call := c.sent[0]
	if response.Name != call.name {
		return fmt.Errorf("an answer named %q for request %q: %w", response.Name, call.name, ErrNotRACS)
	}
	c.sent = slices.Delete(c.sent, 0, 1)
	call.done <- result{response: response}
	<-c.slots
	return nil
}

// fail ends the client for the first reason that it gets: every call fails,
// the connection is closed and both goroutines end.
func (c *Client) fail(reason error) {
	c.mu.Lock()
	first := c.err == nil
	if first {
		c.err = reason
		unknown := reason
		// A server that does not let the client in, which with TLS 1.3 the client
		// hears behind its first request, has not read that.
		if handshake := new(HandshakeError); !errors.As(reason, &handshake) {
			unknown = fmt.Errorf("%w; %w", reason, ErrOutcomeUnknown)
		}
		for _, call := range c.sent {
			call.done <- result{err: unknown}
			<-c.slots
		}
		for _, call := range c.queued {
			call.done <- result{err: fmt.Errorf("it was not sent: %w", reason)}
			<-c.slots
		}
		c.sent, c.queued = nil, nil
		c.signal()
	}
	c.mu.Unlock()
	if first {
		// The reason is what matters; that closing fails too adds nothing.
		_ = c.conn.Close()
	}
}

// Close ends the session without asking the server: it powers off every SE
// that this session powered on. Calls that wait fail with [ErrClosed].
func (c *Client) Close() error {
	c.fail(ErrClosed)
	c.running.Wait()
	return nil
}

// Quit asks the server to end the session behind all earlier requests (QUIT),
// and closes the client.
func (c *Client) Quit(ctx context.Context) error {
	_, err := c.Do(ctx, c.newRequest().Quit())
	return errors.Join(err, c.Close())
}

// newRequest starts a request with a name of the client's own, by which an
// answer that is out of step is found out.
func (c *Client) newRequest() *Request {
	return NewRequest(strconv.FormatUint(c.names.Add(1), 10))
}
