package stp

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
	"log/slog"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/cloud-of-se/tses/access"
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

func (p *paper) issue(t *testing.T, use x509.ExtKeyUsage, from, until time.Time, planes ...string) tls.Certificate {
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "bob", OrganizationalUnit: planes}, DNSNames: []string{"localhost"},
		NotBefore: from, NotAfter: until, ExtKeyUsage: []x509.ExtKeyUsage{use},
	}, p.cert, p.key.Public(), p.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: p.key}
}

// handshake returns what the server says of a client's certificate.
func handshake(t *testing.T, server *tls.Config, ca *paper, version uint16, certs ...tls.Certificate) (tls.ConnectionState, error) {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(ca.cert)
	// A pipe has no room: who refuses would wait for who is still writing.
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	a, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		conn := tls.Client(a, &tls.Config{RootCAs: roots, ServerName: "localhost", MaxVersion: version, Certificates: certs})
		if conn.Handshake() == nil {
			io.Copy(io.Discard, conn)
		}
		a.Close()
	}()
	defer b.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	conn := tls.Server(b, server)
	err = conn.HandshakeContext(ctx)
	return conn.ConnectionState(), err
}

func TestJudgeDates(t *testing.T) {
	now := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC) // by the box's clock
	const day = 24 * time.Hour
	known := now.Add(-10 * day) // has passed
	ours, theirs := newPaper(t), newPaper(t)
	client, user, admin := x509.ExtKeyUsageClientAuth, access.User.Names(), access.Administrative.Names()
	both := (access.User | access.Administrative).Names()
	for _, tt := range []struct {
		name             string
		certs            []tls.Certificate
		certain, lenient bool // let in
		quiet            bool // the clock would let it in
	}{
		{"valid", []tls.Certificate{ours.issue(t, client, now.Add(-day), now.Add(day), user...)}, true, true, true},
		{"an administrator's", []tls.Certificate{ours.issue(t, client, now.Add(-day), now.Add(day), admin...)}, true, true, true},
		{"of tomorrow", []tls.Certificate{ours.issue(t, client, now.Add(day), now.Add(2*day), user...)}, false, true, false},
		{"an administrator's of tomorrow", []tls.Certificate{ours.issue(t, client, now.Add(day), now.Add(2*day), admin...)}, false, true, false},
		{"expired", []tls.Certificate{ours.issue(t, client, now.Add(-2*day), now.Add(-day), user...)}, false, false, false},
		{"an administrator's, expired", []tls.Certificate{ours.issue(t, client, now.Add(-2*day), now.Add(-day), admin...)}, false, true, false},
		{"of both planes, expired", []tls.Certificate{ours.issue(t, client, now.Add(-2*day), now.Add(-day), both...)}, false, true, false},
		{"of no plane, expired", []tls.Certificate{ours.issue(t, client, now.Add(-2*day), now.Add(-day))}, false, false, false},
		{"an administrator's, expired for certain", []tls.Certificate{ours.issue(t, client, now.Add(-20*day), known.Add(-time.Second), admin...)}, false, false, false},
		{"never valid", []tls.Certificate{ours.issue(t, client, now.Add(2*day), now.Add(day), admin...)}, false, false, false},
		{"of another CA", []tls.Certificate{theirs.issue(t, client, now.Add(-day), now.Add(day), admin...)}, false, false, false},
		{"a server's", []tls.Certificate{ours.issue(t, x509.ExtKeyUsageServerAuth, now.Add(-day), now.Add(day), admin...)}, false, false, false},
		{"none", nil, false, false, false},
	} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			for _, proven := range []bool{true, false} {
				log := new(bytes.Buffer)
				c, d := judged(t, ours, access.Clock{Now: now, Proven: proven, Evidence: known}, log)
				want := tt.certain
				if !proven {
					want = tt.lenient
				}
				cs, err := handshake(t, c, ours, version, tt.certs...)
				if (err == nil) != want {
					t.Errorf("%s, proven %v, %s: %v, want in: %v", tt.name, proven, tls.VersionName(version), err, want)
				}
				if said := strings.Contains(log.String(), "not judged"); said != (want && !proven && !tt.quiet) {
					t.Errorf("%s, proven %v: the log: %q", tt.name, proven, log)
				}
				if err != nil {
					continue
				}
				// Whatever the client has sent, the chain leads to the trusted CA.
				if chains, err := d.verified(cs); err != nil || len(chains) != 1 || len(chains[0]) != 2 || !chains[0][1].Equal(ours.cert) {
					t.Errorf("%s, proven %v: chains %v, %v", tt.name, proven, chains, err)
				}
			}
		}
	}
}

// judged is a configuration that judges by a clock.
func judged(t *testing.T, ours *paper, clock access.Clock, log io.Writer) (*tls.Config, *dates) {
	clients := x509.NewCertPool()
	clients.AddCert(ours.cert)
	c := &tls.Config{
		ClientCAs: clients, ClientAuth: tls.RequireAndVerifyClientCert,
		Certificates: []tls.Certificate{ours.issue(t, x509.ExtKeyUsageServerAuth, time.Unix(0, 0), time.Now().Add(24*time.Hour))},
		VerifyConnection: func(cs tls.ConnectionState) error {
			if len(cs.VerifiedChains) == 0 {
				return errors.New("no verified chain")
			}
			return nil
		},
	}
	d := &dates{func() access.Clock { return clock }, clients, journal.NewQuota(slog.NewTextHandler(log, nil), mostOfOne, quotaTime)}
	d.judge(c)
	return c, d
}

// The gate is asked in any case, and what a client sends besides its certificate
// is not taken for what has signed it.
func TestGateInDoubt(t *testing.T) {
	now := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	ours, theirs := newPaper(t), newPaper(t)
	banned := errors.New("revoked")
	c, _ := judged(t, ours, access.Clock{Now: now}, io.Discard)
	var asked []*x509.Certificate
	c.VerifyConnection = func(cs tls.ConnectionState) error { asked = cs.VerifiedChains[0]; return banned }
	d := &dates{func() access.Clock { return access.Clock{Now: now} }, c.ClientCAs, journal.NewQuota(slog.DiscardHandler, mostOfOne, quotaTime)}
	d.judge(c)
	cert := ours.issue(t, x509.ExtKeyUsageClientAuth, now, now.Add(time.Hour), "user")
	cert.Certificate = append(cert.Certificate, theirs.cert.Raw)
	if _, err := handshake(t, c, ours, tls.VersionTLS13, cert); !errors.Is(err, banned) {
		t.Errorf("a revoked one: %v", err)
	}
	if len(asked) != 2 || !asked[1].Equal(ours.cert) {
		t.Errorf("the gate was shown %v", asked)
	}
}
