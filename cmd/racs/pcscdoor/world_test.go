package pcscdoor

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/cloud-of-se/tses/access"
	"github.com/cloud-of-se/tses/drivers"
	"github.com/cloud-of-se/tses/pcsclite"
	"github.com/cloud-of-se/tses/stp/racs"
	"github.com/cloud-of-se/tses/stp/racs/server"
	"github.com/cloud-of-se/tses/stp/stptest"
)

// quick is the field's timing for the patience of a test.
var quick = timing{
	poll: 20 * time.Millisecond, keepAlive: 50 * time.Millisecond, bound: time.Second, keepIdle: time.Minute, retry: 100 * time.Millisecond,
}

// network is between a door and TSESs, a proxy on loopback: it can be cut,
// stall, and lead to another TSES.
type network struct {
	ln     net.Listener
	planes access.Plane // of the credential
	direct bool         // without the proxy, for measurements

	mu     sync.Mutex
	addr   string // of the TSES; empty: nobody is there
	config *tls.Config
	conns  []net.Conn
	stall  chan struct{} // closed when data flows again; nil while it does
}

func newNetwork(t testing.TB, ts *stptest.TSES) *network {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	n := &network{ln: ln, planes: access.User | access.Administrative}
	n.lead(ts)
	done := make(chan struct{})
	go func() { defer close(done); n.accept() }()
	t.Cleanup(func() { ln.Close(); <-done; n.cut() })
	return n
}

// lead makes the network lead to a TSES; nil is nowhere.
func (n *network) lead(ts *stptest.TSES) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.addr = ""
	if ts != nil {
		n.addr, n.config = ts.Addr, ts.TLS(ts.Credential("tester", n.planes))
	}
}

func (n *network) accept() {
	for {
		near, err := n.ln.Accept()
		if err != nil {
			return // the listener is closed
		}
		n.mu.Lock()
		addr := n.addr
		n.mu.Unlock()
		far, err := net.Dial("tcp", addr)
		if err != nil {
			near.Close()
			continue
		}
		n.mu.Lock()
		n.conns = append(n.conns, near, far)
		n.mu.Unlock()
		go n.carry(far, near) // both end with their connections
		go n.carry(near, far)
	}
}

func (n *network) carry(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	b := make([]byte, 32<<10)
	for {
		k, err := from.Read(b)
		n.mu.Lock()
		stall := n.stall
		n.mu.Unlock()
		if stall != nil {
			<-stall
		}
		if _, werr := to.Write(b[:k]); err != nil || werr != nil {
			return
		}
	}
}

// cut ends all connections.
func (n *network) cut() { n.cutBehind(0) }

// cutBehind ends all connections but the first k, in the order in which they
// were made.
func (n *network) cutBehind(k int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	k = min(2*k, len(n.conns)) // each has two ends
	for _, c := range n.conns[k:] {
		c.Close()
	}
	n.conns = n.conns[:k]
}

// hold stops the flow of data until the function that it returns is called.
func (n *network) hold() (release func()) {
	stall := make(chan struct{})
	n.mu.Lock()
	n.stall = stall
	n.mu.Unlock()
	return sync.OnceFunc(func() {
		n.mu.Lock()
		n.stall = nil
		n.mu.Unlock()
		close(stall)
	})
}

func (n *network) dial(ctx context.Context) (*racs.Client, error) {
	n.mu.Lock()
	config, addr := n.config, n.ln.Addr().String()
	if n.direct {
		addr = n.addr
	}
	n.mu.Unlock()
	return racs.Dial(ctx, addr, config, racs.Options{})
}

// tses starts a TSES.
func tses(t testing.TB, ses map[string]drivers.SE) *stptest.TSES {
	return stptest.Start(t, stptest.Options{SEs: ses, Handler: &server.Server{}})
}

// openDoor opens a door on the network and serves until the test ends.
func openDoor(t testing.TB, n *network, opts Options, times timing) *Door {
	t.Helper()
	opts.Dial = n.dial
	if opts.Log == nil {
		opts.Log = slog.New(slog.NewTextHandler(output(t), nil))
	}
	d, err := openWith(within(t), opts, times)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- d.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return d
}

// output is the test's, of a test; a benchmark keeps its lines clean.
func output(t testing.TB) io.Writer {
	if t, ok := t.(*testing.T); ok {
		return t.Output()
	}
	return io.Discard
}

// start is a network to a TSES with a door on it.
func start(t testing.TB, ses map[string]drivers.SE) (*network, *Door) {
	n := newNetwork(t, tses(t, ses))
	return n, openDoor(t, n, Options{}, quick)
}

func within(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func program(t testing.TB, d *Door) *pcsclite.Client {
	t.Helper()
	c, err := pcsclite.Dial(within(t), d.Path())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() }) // some tests have closed it
	return c
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantCode(t testing.TB, err error, want pcsclite.Code) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got %v, want %v", err, want)
	}
}

// until waits for a reader to have a status.
func until(t testing.TB, c *pcsclite.Client, reader string, want pcsclite.Status) {
	t.Helper()
	var known []pcsclite.ReaderState
	for {
		states, err := c.Watch(within(t), known)
		if err != nil {
			t.Fatalf("reader %s did not become %#x: %v; it was %+v", reader, want, err, known)
		}
		for _, s := range states {
			if s.Name == reader && s.Status&want != 0 {
				return
			}
		}
		known = states
	}
}
