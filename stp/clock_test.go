package stp

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/cloud-of-se/tses/internal/journal"
)

// paper is a CA that dates its certificates as it is told.
type paper struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newPaper(t *testing.T) *paper {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p := &paper{key: key}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Unix(0, 0), NotAfter: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	if p.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *paper) issue(t *testing.T, use x509.ExtKeyUsage, from, until time.Time) tls.Certificate {
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "bob"}, DNSNames: []string{"localhost"},
		NotBefore: from, NotAfter: until, ExtKeyUsage: []x509.ExtKeyUsage{use},
	}, p.cert, p.key.Public(), p.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: p.key}
}

// handshake returns what the server says of a client's certificate.
func handshake(t *testing.T, server *tls.Config, ca *paper, version uint16, certs ...tls.Certificate) error {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(ca.cert)
	a, b := net.Pipe()
	go func() {
		conn := tls.Client(a, &tls.Config{RootCAs: roots, ServerName: "localhost", MaxVersion: version, Certificates: certs})
		if conn.Handshake() == nil {
			io.Copy(io.Discard, conn)
		}
		a.Close()
	}()
	defer b.Close()
	return tls.Server(b, server).HandshakeContext(t.Context())
}

func TestJudgeDates(t *testing.T) {
	clock := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC) // the box's
	day := 24 * time.Hour
	ours, theirs := newPaper(t), newPaper(t)
	client := x509.ExtKeyUsageClientAuth
	banned := errors.New("revoked")
	for _, tt := range []struct {
		name             string
		certs            []tls.Certificate
		certain, lenient bool // let in
	}{
		{"valid", []tls.Certificate{ours.issue(t, client, clock.Add(-day), clock.Add(day))}, true, true},
		{"of tomorrow", []tls.Certificate{ours.issue(t, client, clock.Add(day), clock.Add(2*day))}, false, true},
		{"expired", []tls.Certificate{ours.issue(t, client, clock.Add(-2*day), clock.Add(-day))}, false, false},
		{"never valid", []tls.Certificate{ours.issue(t, client, clock.Add(2*day), clock.Add(day))}, false, false},
		{"of another CA", []tls.Certificate{theirs.issue(t, client, clock.Add(-day), clock.Add(day))}, false, false},
		{"a server's", []tls.Certificate{ours.issue(t, x509.ExtKeyUsageServerAuth, clock.Add(-day), clock.Add(day))}, false, false},
		{"none", nil, false, false},
	} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			for _, doubtful := range []bool{false, true} {
				var log bytes.Buffer
				clients := x509.NewCertPool()
				clients.AddCert(ours.cert)
				c := &tls.Config{
					Time: func() time.Time { return clock }, ClientCAs: clients, ClientAuth: tls.RequireAndVerifyClientCert,
					Certificates:     []tls.Certificate{ours.issue(t, x509.ExtKeyUsageServerAuth, time.Unix(0, 0), time.Now().Add(day))},
					VerifyConnection: func(tls.ConnectionState) error { return nil },
				}
				judgeDates(c, func() bool { return doubtful }, journal.NewQuota(slog.NewTextHandler(&log, nil), mostOfOne, quotaTime))
				want := tt.certain
				if doubtful {
					want = tt.lenient
				}
				err := handshake(t, c, ours, version, tt.certs...)
				if (err == nil) != want {
					t.Errorf("%s, doubtful %v, %s: %v, want in: %v", tt.name, doubtful, tls.VersionName(version), err, want)
				}
				if said := strings.Contains(log.String(), "not judged"); said != (want && doubtful) {
					t.Errorf("%s, doubtful %v: the log: %q", tt.name, doubtful, &log)
				}
			}
		}
	}
	// The gate is asked in any case.
	clients := x509.NewCertPool()
	clients.AddCert(ours.cert)
	c := &tls.Config{
		Time: func() time.Time { return clock }, ClientCAs: clients, ClientAuth: tls.RequireAndVerifyClientCert,
		Certificates:     []tls.Certificate{ours.issue(t, x509.ExtKeyUsageServerAuth, time.Unix(0, 0), time.Now().Add(day))},
		VerifyConnection: func(tls.ConnectionState) error { return banned },
	}
	judgeDates(c, func() bool { return true }, journal.NewQuota(slog.DiscardHandler, mostOfOne, quotaTime))
	if err := handshake(t, c, ours, tls.VersionTLS13, ours.issue(t, client, clock, clock.Add(day))); !errors.Is(err, banned) {
		t.Errorf("a revoked one: %v", err)
	}
}
