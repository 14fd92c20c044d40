// Package stptest runs a TSES inside a test: a listener on loopback with a CA
// of its own, and credentials by the name.
package stptest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/cloud-of-se/tses/access"
	"github.com/cloud-of-se/tses/drivers"
	"github.com/cloud-of-se/tses/grid"
	"github.com/cloud-of-se/tses/internal/journal"
	"github.com/cloud-of-se/tses/stp"
)

// Options of a [TSES]. The zero value serves nothing, with default limits.
type Options struct {
	SEs        map[string]drivers.SE
	Aliases    map[string]string // to the SEID that they stand for
	Rules      []access.Rule
	Further    []access.Further // CAs besides its own
	Handler    stp.Handler
	Handlers   map[string]stp.Handler // by ALPN
	Limits     stp.Limits
	MinVersion uint16              // of TLS; 0 is 1.3
	Clock      func() access.Clock // nil: the system's
	Log        io.Writer           // nil: nowhere
}

// TSES is a running server.
type TSES struct {
	Addr      string
	Dir       string // the state directory
	Authority *access.Authority
	Grid      *grid.Grid
	Server    *stp.Server
	Stop      func() error // drains; what Serve returned. Later calls return the same

	t testing.TB
}

// Start runs a TSES until the test ends.
func Start(t testing.TB, o Options) *TSES {
	t.Helper()
	dir := t.TempDir()
	authority, err := access.CreateAuthority(dir)
	check(t, err)
	trust, err := access.NewTrust(authority.Certificate(), o.Further...)
	check(t, err)
	policy, err := access.NewPolicy(o.Rules)
	check(t, err)
	gate, err := access.NewGate(authority.Registry(), trust, policy)
	check(t, err)
	if o.Clock != nil {
		gate.Clock = o.Clock
	}
	g := grid.New()
	for seid, se := range o.SEs {
		check(t, g.Add(seid, se))
	}
	for alias, seid := range o.Aliases {
		check(t, g.Alias(alias, seid))
	}
	if o.MinVersion == 0 {
		o.MinVersion = tls.VersionTLS13
	}
	if o.Log == nil {
		o.Log = io.Discard
	}
	cert, err := authority.ServerCertificate([]string{"localhost", "127.0.0.1", "::1"})
	check(t, err)
	server := &stp.Server{
		TLS:  stp.TLSConfig(func() (*tls.Certificate, error) { return cert, nil }, gate, o.MinVersion),
		Gate: gate, Grid: g, Handler: o.Handler, Handlers: o.Handlers, Limits: o.Limits,
		Log: slog.New(journal.NewHandler(o.Log)),
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	var result error
	go func() {
		defer close(done)
		result = server.Serve(ctx, ln)
	}()
	ts := &TSES{Addr: ln.Addr().String(), Dir: dir, Authority: authority, Grid: g, Server: server, t: t}
	ts.Stop = func() error {
		cancel()
		<-done
		return result
	}
	t.Cleanup(func() { check(t, ts.Stop()) })
	return ts
}

// Credential issues a credential and returns it with its certificate and key.
func (ts *TSES) Credential(name string, planes access.Plane, seids ...string) tls.Certificate {
	ts.t.Helper()
	_, pem, err := ts.Authority.Issue(access.Order{Name: name, Planes: planes, SEs: seids, Life: time.Hour})
	check(ts.t, err)
	cert, err := tls.X509KeyPair(pem, pem)
	check(ts.t, err)
	return cert
}

// CredentialFile is [TSES.Credential] to a file in the state directory, whose
// path it returns.
func (ts *TSES) CredentialFile(name string, planes access.Plane, seids ...string) string {
	ts.t.Helper()
	_, pem, err := ts.Authority.Issue(access.Order{Name: name, Planes: planes, SEs: seids, Life: time.Hour})
	check(ts.t, err)
	path := filepath.Join(ts.Dir, name+".pem")
	check(ts.t, os.WriteFile(path, pem, 0o600))
	return path
}

// TLS is a client's configuration with the certificates given.
func (ts *TSES) TLS(certs ...tls.Certificate) *tls.Config {
	roots := x509.NewCertPool()
	roots.AddCert(ts.Authority.Certificate())
	return &tls.Config{RootCAs: roots, Certificates: certs, ServerName: "localhost"}
}

// Dial connects with a credential.
func (ts *TSES) Dial(cert tls.Certificate) *tls.Conn {
	ts.t.Helper()
	conn, err := tls.Dial("tcp", ts.Addr, ts.TLS(cert))
	check(ts.t, err)
	ts.t.Cleanup(func() { conn.Close() })
	return conn
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
