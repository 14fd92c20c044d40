package stp_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloud-of-se/tses/access"
	"github.com/cloud-of-se/tses/internal/needs"
	"github.com/cloud-of-se/tses/stp"
	"github.com/cloud-of-se/tses/stp/stptest"
)

// dialFrom connects from an address of loopback.
func dialFrom(ctx context.Context, from, to string) (net.Conn, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: 30 * time.Second}
	return d.DialContext(ctx, "tcp", to)
}

// farAway is a connection of a client whose packets take 150 ms in each
// direction.
type farAway struct {
	net.Conn
	sent bool
}

const flight = 150 * time.Millisecond

func (f *farAway) Write(b []byte) (int, error) {
	time.Sleep(flight)
	f.sent = true
	return f.Conn.Write(b)
}

func (f *farAway) Read(b []byte) (int, error) {
	if f.sent {
		f.sent = false
		time.Sleep(flight)
	}
	return f.Conn.Read(b)
}

// getIn is a client that connects, hears its name and goes.
func getIn(from string, ts *stptest.TSES, conf *tls.Config, far bool) error {
	raw, err := dialFrom(context.Background(), from, ts.Addr)
	if err != nil {
		return err
	}
	defer raw.Close()
	if err := raw.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return err
	}
	if far {
		raw = &farAway{Conn: raw}
	}
	conn := tls.Client(raw, conf)
	if got, err := io.ReadAll(conn); err != nil || !strings.HasPrefix(string(got), "racs for ") {
		return fmt.Errorf("got %q, %w", got, err)
	}
	return nil
}

// flood opens connections from an address, as many as it can up to 2,900 a
// second, and lets each do as it likes with it, until the function that it
// returns is called. That tells how many there were.
func flood(t *testing.T, from string, ts *stptest.TSES, do func(net.Conn)) (end func() int64) {
	ctx, cancel := context.WithCancel(t.Context())
	var n atomic.Int64
	var running sync.WaitGroup
	for range 4 {
		running.Go(func() {
			tick := time.NewTicker(4 * time.Second / 2900)
			defer tick.Stop()
			for ctx.Err() == nil {
				select {
				case <-ctx.Done():
				case <-tick.C:
					c, err := dialFrom(ctx, from, ts.Addr)
					if err != nil {
						continue
					}
					n.Add(1)
					do(c)
					// Nobody closes it but the server.
					running.Go(func() {
						stop := context.AfterFunc(ctx, func() { c.Close() })
						defer stop()
						io.Copy(io.Discard, c)
						c.Close()
					})
				}
			}
		})
	}
	end = sync.OnceValue(func() int64 {
		cancel()
		running.Wait()
		return n.Load()
	})
	t.Cleanup(func() { end() })
	return end
}

func silently(net.Conn) {}

// hello is a ClientHello.
func hello(t *testing.T, ts *stptest.TSES) []byte {
	t.Helper()
	a, b := net.Pipe()
	go tls.Client(a, ts.TLS()).Handshake()
	buf := make([]byte, 4096)
	n, err := b.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	a.Close()
	b.Close()
	return buf[:n]
}

// Whoever floods the door, from another address or from the same one, others get
// in, though their packets take 150 ms.
func TestFloodAtTheDoor(t *testing.T) {
	for _, tt := range []struct {
		name, from string
		speak      bool // send a ClientHello and no more
		far        bool
	}{
		{"silent, from another address", "127.0.0.2", false, true},
		{"silent, from the same address", "127.0.0.1", false, true},
		{"half open, from another address", "127.0.0.2", true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ts := stptest.Start(t, stptest.Options{Handler: namer("racs"), Limits: stp.Limits{Unauthenticated: 1200, Handshakes: 256}})
			conf := ts.TLS(ts.Credential("alice", access.User))
			do := silently
			if first := hello(t, ts); tt.speak {
				do = func(c net.Conn) { c.Write(first) }
			}
			n := 4
			if needs.Full() {
				n = 15
			}
			end := flood(t, tt.from, ts, do)
			var clients sync.WaitGroup
			for i := range n {
				clients.Go(func() {
					time.Sleep(time.Duration(i) * 150 * time.Millisecond)
					begun := time.Now()
					if err := getIn("127.0.0.1", ts, conf, tt.far); err != nil {
						t.Errorf("client %d: %v after %v", i, err, time.Since(begun))
					}
				})
			}
			clients.Wait()
			t.Logf("beside %d connections", end())
		})
	}
}

// An administrator gets in beside as many handshakes as there can be that stand
// still, though they come from the same address.
func testStandingHandshakes(t *testing.T) {
	ts := stptest.Start(t, stptest.Options{Handler: namer("racs"), Limits: stp.Limits{Unauthenticated: 300, Handshakes: 64}})
	conf, first := ts.TLS(ts.Credential("admin", access.Administrative)), hello(t, ts)
	for _, from := range []string{"127.0.0.1", "127.0.0.2", "127.0.0.3"} {
		for range 64 {
			c, err := dialFrom(t.Context(), from, ts.Addr)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			c.Write(first)
		}
	}
	for range 2 {
		begun := time.Now()
		if err := getIn("127.0.0.1", ts, conf, false); err != nil {
			t.Error(err)
		}
		if took := time.Since(begun); took > 5*time.Second { // the handshake's time is 10 s
			t.Errorf("it took %v", took)
		} else {
			t.Logf("after %v", took)
		}
	}
}

// raced says that the race detector is at work, which makes honest clients as
// slow as those that do nothing.
var raced bool

// A storm of clients is served to the last one, though they all come from one
// address with one credential, and are more than there are places of any kind.
func TestStorm(t *testing.T) {
	if raced {
		t.Skip("a matter of time, which the race detector takes; .ci/run runs it without")
	}
	n, rounds := 400, 1
	limits := stp.Limits{Unauthenticated: 300, Handshakes: 64, CredentialSessions: 16}
	if needs.Full() {
		n, rounds, limits = 4000, 10, stp.Limits{}
	}
	log := new(logBuffer)
	ts := stptest.Start(t, stptest.Options{Handler: namer("racs"), Limits: limits, Log: log})
	conf := ts.TLS(ts.Credential("alice", access.User))
	for round := range rounds {
		var failed atomic.Int64
		var clients sync.WaitGroup
		begun := time.Now()
		for range n {
			clients.Go(func() {
				if err := getIn("127.0.0.1", ts, conf, false); err != nil && failed.Add(1) < 4 {
					t.Errorf("round %d: %v", round, err)
				}
			})
		}
		clients.Wait()
		t.Logf("round %d: %d clients in %v, %d failed", round, n, time.Since(begun), failed.Load())
	}
	if t.Failed() {
		for line := range strings.Lines(log.String()) {
			if !strings.Contains(line, "msg=\"session ") {
				t.Log(line)
			}
		}
	}
}

// talkative is a client that has no end of certificates.
func talkative(t *testing.T, size int) tls.Certificate {
	cert := foreign(t, time.Now().Add(time.Hour))
	for n := len(cert.Certificate[0]); n < size; n += len(cert.Certificate[0]) {
		cert.Certificate = append(cert.Certificate, cert.Certificate[0])
	}
	return cert
}

// How many bytes a client may send before it is let in.
func TestHandshakeBytes(t *testing.T) {
	const chain = 60 << 10
	for _, tt := range []struct {
		limit int
		want  string
	}{
		{0, "too many bytes before the end of the handshake: 16384, limits.handshake_bytes = 16384"},
		{2000, "too many bytes before the end of the handshake: 2000, limits.handshake_bytes = 2000"},
		{1 << 20, "certificate"}, // not ours, but read
	} {
		log := new(logBuffer)
		ts := stptest.Start(t, stptest.Options{Handler: namer("racs"), Limits: stp.Limits{HandshakeBytes: tt.limit}, Log: log})
		conf, cert := ts.TLS(), talkative(t, chain)
		conf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil }
		if c, err := tls.Dial("tcp", ts.Addr, conf); err == nil {
			c.Read(make([]byte, 1))
			c.Close()
		}
		log.waitFor(t, tt.want)
	}
}

// What a client sends right behind its handshake is none of it.
func TestBytesBehindTheHandshake(t *testing.T) {
	ts := stptest.Start(t, stptest.Options{Handler: counter{}})
	c, err := net.Dial("tcp", ts.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	held := &holdBack{Conn: c}
	conn := tls.Client(held, ts.TLS(ts.Credential("alice", access.User)))
	if err := conn.Handshake(); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write(make([]byte, 100<<10)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write(held.kept.Bytes()); err != nil {
		t.Fatal(err)
	}
	held.through = true
	conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	if got, err := io.ReadAll(conn); string(got) != "102400" {
		t.Errorf("got %q, %v", got, err)
	}
}

// holdBack keeps what is written behind the ClientHello, so that it arrives all
// at one time.
type holdBack struct {
	net.Conn
	hello, through bool
	kept           bytes.Buffer
}

func (h *holdBack) Write(b []byte) (int, error) {
	if !h.hello || h.through {
		h.hello = true
		return h.Conn.Write(b)
	}
	return h.kept.Write(b)
}

// counter reads 100 KiB and says so.
type counter struct{}

func (counter) Serve(_ context.Context, c *stp.Conn, _ *stp.Session) error {
	n, err := io.CopyN(io.Discard, c, 100<<10)
	if err != nil {
		return err
	}
	_, err = fmt.Fprint(c, n)
	return err
}

// A limit is told by its name, and not for each client.
func TestLimitIsTold(t *testing.T) {
	log := new(logBuffer)
	ts := stptest.Start(t, stptest.Options{Handler: namer("racs"), Limits: stp.Limits{Unauthenticated: 10}, Log: log})
	end := flood(t, "127.0.0.2", ts, silently)
	log.waitFor(t, "limit=limits.unauthenticated value=10")
	end()
	if err := ts.Stop(); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(log.String(), "limit reached"); n != 1 {
		t.Errorf("it is told %d times:\n%s", n, log)
	}
}
