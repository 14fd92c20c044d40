package stp_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloud-of-se/tses/access"
	"github.com/cloud-of-se/tses/drivers"
	"github.com/cloud-of-se/tses/drivers/driverstest"
	"github.com/cloud-of-se/tses/stp"
	"github.com/cloud-of-se/tses/stp/stptest"
)

// holder is a protocol that powers card on, says so, and waits for input.
type holder struct{}

func (holder) Serve(ctx context.Context, c *stp.Conn, s *stp.Session) error {
	if _, _, err := s.PowerOn(ctx, "card"); err != nil {
		return err
	}
	if _, err := c.Write([]byte("on\n")); err != nil {
		return err
	}
	if err := c.AwaitInput(); err != nil {
		return err
	}
	_, err := c.Read(make([]byte, 1))
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// logBuffer is a log that can be read while it is written.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// waitFor waits for the log to say something: the client can know before the
// server has written it down.
func (l *logBuffer) waitFor(t *testing.T, want string) {
	t.Helper()
	for range 1000 {
		if strings.Contains(l.String(), want) {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Errorf("the log does not say %q:\n%s", want, l)
}

func start(t *testing.T, o stptest.Options) (*stptest.TSES, *driverstest.Scripted, *logBuffer) {
	card, log := driverstest.NewScripted(driverstest.Options{}), new(logBuffer)
	o.SEs, o.Handler, o.Log = map[string]drivers.SE{"card": card}, holder{}, log
	return stptest.Start(t, o), card, log
}

// hold opens a session that has the card.
func hold(t *testing.T, ts *stptest.TSES, cred tls.Certificate) *tls.Conn {
	t.Helper()
	return holdWith(t, ts, ts.TLS(cred))
}

func holdWith(t *testing.T, ts *stptest.TSES, conf *tls.Config) *tls.Conn {
	t.Helper()
	c, err := tls.Dial("tcp", ts.Addr, conf)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(10 * time.Second))
	if got, err := io.ReadAll(io.LimitReader(c, 3)); string(got) != "on\n" {
		t.Fatalf("got %q, %v", got, err)
	}
	return c
}

// ended waits for close_notify and the card to be off, and says how long it
// took.
func ended(t *testing.T, c *tls.Conn, card *driverstest.Scripted) time.Duration {
	t.Helper()
	from := time.Now()
	if rest, err := io.ReadAll(c); err != nil || len(rest) > 0 {
		t.Fatalf("got %q, %v; want close_notify", rest, err)
	}
	if card.On() {
		t.Error("close_notify came while the card was on")
	}
	return time.Since(from)
}

func TestRevocationEndsSessions(t *testing.T) {
	ts, card, log := start(t, stptest.Options{})
	c := hold(t, ts, ts.Credential("alice", access.User))
	if _, err := ts.Authority.Registry().Revoke("alice"); err != nil {
		t.Fatal(err)
	}
	if took := ended(t, c, card); took > time.Second {
		t.Errorf("the session lived on for %v, want at most a second", took)
	}
	log.waitFor(t, "the credential is revoked")
}

// A session whose credential is revoked while it waits for its share does not get
// in.
func testRevokedWhileItWaits(t *testing.T) {
	card, log := driverstest.NewScripted(driverstest.Options{}), new(logBuffer)
	ts := stptest.Start(t, stptest.Options{
		SEs: map[string]drivers.SE{"card": card}, Handler: holder{}, Log: log, Limits: stp.Limits{CredentialSessions: 1},
	})
	first := hold(t, ts, ts.Credential("alice", access.User))
	_, pem, err := ts.Authority.Issue(access.Order{Name: "alice", Planes: access.User, Life: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	cred, err := tls.X509KeyPair(pem, pem)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(cred.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	waiting, err := tls.Dial("tcp", ts.Addr, ts.TLS(cred))
	if err != nil {
		t.Fatal(err)
	}
	defer waiting.Close()
	got := make(chan string)
	go func() {
		all, _ := io.ReadAll(waiting) // how it is ended is its own matter
		got <- string(all)
	}()
	for begun := time.Now(); ts.Server.Waiting() == 0; time.Sleep(time.Millisecond) {
		if time.Since(begun) > 10*time.Second {
			t.Fatal("it does not wait")
		}
	}
	if _, err := ts.Authority.Registry().Revoke(access.SerialString(leaf)); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(500*time.Millisecond, func() { first.Close() }) // before shareStill
	if all := <-got; all != "" {
		t.Errorf("it gets in: %q", all)
	}
	log.waitFor(t, "is revoked") // behind the handshake, or still in it
}

func testExpiryEndsSessions(t *testing.T) {
	ts, card, _ := start(t, stptest.Options{})
	_, pem, err := ts.Authority.Issue(access.Order{Name: "brief", Planes: access.User, Life: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	cred, err := tls.X509KeyPair(pem, pem)
	if err != nil {
		t.Fatal(err)
	}
	c := hold(t, ts, cred)
	if took := ended(t, c, card); took > 4*time.Second {
		t.Errorf("the session outlived its credential by %v", took-2*time.Second)
	}
}

func testDrain(t *testing.T) {
	ts, card, _ := start(t, stptest.Options{})
	c := hold(t, ts, ts.Credential("alice", access.User))
	stopped := make(chan error, 1)
	go func() { stopped <- ts.Stop() }()
	ended(t, c, card)
	if err := <-stopped; err != nil {
		t.Errorf("Serve: %v", err)
	}
	if _, err := net.Dial("tcp", ts.Addr); err == nil {
		t.Error("the listener takes clients after the end")
	}
}

func testSessionLimit(t *testing.T) {
	ts, card, log := start(t, stptest.Options{Limits: stp.Limits{Sessions: 1}})
	cred := ts.Credential("alice", access.User)
	first := hold(t, ts, cred)
	second := ts.Dial(cred)
	if got, err := io.ReadAll(second); len(got) > 0 {
		t.Errorf("a session past the limit got %q, %v", got, err)
	}
	log.waitFor(t, "limit=limits.sessions value=1")
	first.Close()
	for card.On() {
		time.Sleep(time.Millisecond)
	}
	// The place is free a moment after the card is.
	for range 100 {
		c := ts.Dial(cred)
		if got, _ := io.ReadAll(io.LimitReader(c, 3)); string(got) == "on\n" {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Error("the place of a session that has ended is not free")
}

// foreign is a credential of another CA, or of none, valid for a time.
func foreign(t *testing.T, until time.Time) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "mallory", OrganizationalUnit: []string{"user"}},
		NotBefore: until.Add(-time.Hour), NotAfter: until, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestNotLetIn(t *testing.T) {
	ts, card, log := start(t, stptest.Options{})
	revoked := ts.Credential("revoked", access.User)
	if _, err := ts.Authority.Registry().Revoke("revoked"); err != nil {
		t.Fatal(err)
	}
	_, pem, err := ts.Authority.Issue(access.Order{Name: "expired", Planes: access.User, Life: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	expired, err := tls.X509KeyPair(pem, pem)
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(10 * time.Millisecond) // for the other to expire
	tests := []struct {
		name  string
		certs []tls.Certificate
		alert string
		log   string
	}{
		{"no certificate", nil, "certificate required", "no TLS session"},
		{"another CA", []tls.Certificate{foreign(t, time.Now().Add(time.Hour))}, "unknown certificate authority", "client=mallory serial=7"},
		{"expired", []tls.Certificate{expired}, "expired certificate", "client=expired"},
		// crypto/tls sends this alert for every reason of the server's own;
		// certificate_revoked cannot be had.
		{"revoked", []tls.Certificate{revoked}, "bad certificate", `credential \"revoked\"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			conf := ts.TLS()
			conf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				if tt.certs == nil {
					return new(tls.Certificate), nil
				}
				return &tt.certs[0], nil
			}
			c, err := tls.Dial("tcp", ts.Addr, conf)
			if err == nil { // TLS 1.3: the client has done before the server judges
				_, err = c.Read(make([]byte, 1))
				c.Close()
			}
			if err == nil || !strings.Contains(err.Error(), tt.alert) {
				t.Errorf("got %v, want the alert %q", err, tt.alert)
			}
			log.waitFor(t, tt.log)
		})
	}
	if n := card.Counts().PowerOns; n != 0 {
		t.Errorf("the card was powered on %d times", n)
	}
}

func TestTLSVersions(t *testing.T) {
	tests := []struct {
		name   string
		min    uint16
		client *tls.Config
		ok     bool
	}{
		{"1.3 alone", 0, &tls.Config{MaxVersion: tls.VersionTLS12}, false},
		{"1.2 by configuration", tls.VersionTLS12, &tls.Config{MaxVersion: tls.VersionTLS12}, true},
		{"1.2 without AEAD", tls.VersionTLS12, &tls.Config{MaxVersion: tls.VersionTLS12,
			CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}}, false},
		{"1.1", tls.VersionTLS12, &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ts, _, _ := start(t, stptest.Options{MinVersion: tt.min})
			conf := ts.TLS(ts.Credential("old", access.User))
			conf.MinVersion, conf.MaxVersion, conf.CipherSuites = tt.client.MinVersion, tt.client.MaxVersion, tt.client.CipherSuites
			c, err := tls.Dial("tcp", ts.Addr, conf)
			if (err == nil) != tt.ok {
				t.Fatalf("Dial: %v, want success %v", err, tt.ok)
			}
			if err == nil {
				c.Close()
			}
		})
	}
}
