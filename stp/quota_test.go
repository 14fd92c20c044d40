package stp_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloud-of-se/tses/access"
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

// longNamed is a credential with a name of 60 KB, from the CA of the TSES and from
// nowhere.
func longNamed(t *testing.T, ts *stptest.TSES) (ours, strangers tls.Certificate) {
	t.Helper()
	keyPEM, err := os.ReadFile(filepath.Join(ts.Dir, "ca.key"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(keyPEM)
	caKey, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	name := "\x1b[2J\u202e" + strings.Repeat("n", 60<<10)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: name, OrganizationalUnit: []string{"user"}}, KeyUsage: x509.KeyUsageDigitalSignature,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	issue := func(ca *x509.Certificate, by any) tls.Certificate {
		der, err := x509.CreateCertificate(rand.Reader, template, ca, key.Public(), by)
		if err != nil {
			t.Fatal(err)
		}
		return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	}
	return issue(ts.Authority.Certificate(), caKey), issue(template, key)
}

// Whoever has a name of 60 KB, and is let in or not, has short lines in the log.
func TestLongNames(t *testing.T) {
	for _, doubtful := range []bool{false, true} {
		log := new(gated)
		ts := stptest.Start(t, stptest.Options{Handler: namer("racs"), Log: log, Clock: func() access.Clock { return access.Clock{Now: time.Now(), Proven: !doubtful} }, Limits: stp.Limits{HandshakeBytes: 1 << 20}})
		ours, strangers := longNamed(t, ts)
		for _, cert := range []tls.Certificate{ours, strangers} {
			config := ts.TLS()
			config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil }
			if c, err := tls.Dial("tcp", ts.Addr, config); err == nil {
				_, _ = c.Read(make([]byte, 1)) // whether it is let in is not what is asked here
				c.Close()
			}
		}
		if err := ts.Stop(); err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(log.String(), "nnn"); n == 0 {
			t.Errorf("the log says nothing of them:\n%s", log)
		}
		for line := range strings.Lines(log.String()) {
			if len(line) > 2500 || strings.ContainsAny(line, "\x1b\u202e") {
				t.Errorf("doubtful %v: a line of %d bytes: %.300q", doubtful, len(line), line)
			}
		}
	}
}
