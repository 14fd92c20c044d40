package stp_test

import (
	"crypto/tls"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloud-of-se/tses/stp"
	"github.com/cloud-of-se/tses/stp/stptest"
)

// gated is a log that can be held up.
type gated struct {
	gate sync.Mutex

	mu   sync.Mutex
	text strings.Builder
}

func (g *gated) Write(p []byte) (int, error) {
	g.gate.Lock()
	defer g.gate.Unlock()
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.text.Write(p)
}

func (g *gated) String() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.text.String()
}

// knock connects, says what is no TLS, and waits until it is cut off.
func knock(t *testing.T, addr string) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, "GET / HTTP/1.0\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, c); err != nil && !strings.Contains(err.Error(), "reset") {
		t.Errorf("not cut off: %v", err)
	}
}

// A flood of what is no TLS, or of strangers' certificates, writes a bounded
// number of lines, and how many more there were.
func TestFloodInTheLog(t *testing.T) {
	log := new(gated)
	ts := stptest.Start(t, stptest.Options{Handler: namer("racs"), Log: log})
	config, stranger := ts.TLS(), foreign(t, time.Now().Add(time.Hour))
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &stranger, nil }
	const n = 40
	for range n {
		knock(t, ts.Addr)
		c, err := tls.Dial("tcp", ts.Addr, config)
		if err == nil { // TLS 1.3: the client has done before the server judges
			_, err = c.Read(make([]byte, 1))
			c.Close()
		}
		if err == nil {
			t.Error("a stranger is let in")
		}
	}
	if err := ts.Stop(); err != nil {
		t.Fatal(err)
	}
	for what, want := range map[string]int{
		`msg="no TLS session"`: stp.MostNoise, `msg="not let in"`: stp.MostRefusals,
		`msg="no TLS session: more of them were not written down" number=35`: 1,
		`msg="not let in: more of them were not written down" number=20`:     1,
	} {
		if got := strings.Count(log.String(), what); got != want {
			t.Errorf("%d lines with %s of %d connections, want %d:\n%s", got, what, n, want, log)
		}
	}
}

// Who is not let in is cut off although the log is slow.
func TestSlowLogHoldsNoConnection(t *testing.T) {
	log := new(gated)
	ts := stptest.Start(t, stptest.Options{Handler: namer("racs"), Log: log})
	log.gate.Lock()
	knock(t, ts.Addr)
	log.gate.Unlock()
}
