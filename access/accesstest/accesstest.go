// Package accesstest makes CAs and certificates of all kinds for tests, those
// that no good CA would make too.
package accesstest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"
)

// CA is one that signs whatever it is asked to.
type CA struct {
	Cert  *x509.Certificate
	Key   crypto.Signer
	Above []*x509.Certificate // up to a CA that clients need not show

	t testing.TB
}

// Change alters what is about to be signed. A [crypto.Signer] in key takes the
// place of the new key.
type Change func(tmpl *x509.Certificate, key *crypto.Signer)

// New makes a CA that has signed itself.
func New(t testing.TB, name string, changes ...Change) *CA {
	t.Helper()
	tmpl, key := template(t, name, append([]Change{asCA}, changes...))
	return &CA{Cert: sign(t, tmpl, tmpl, key, key), Key: key, t: t}
}

// Of is a CA whose key is there, such as a TSES's own.
func Of(t testing.TB, cert *x509.Certificate, key crypto.Signer) *CA {
	return &CA{Cert: cert, Key: key, t: t}
}

// CA makes a CA below this one.
func (c *CA) CA(name string, changes ...Change) *CA {
	c.t.Helper()
	tmpl, key := template(c.t, name, append([]Change{asCA}, changes...))
	cert := sign(c.t, tmpl, c.Cert, key, c.Key)
	return &CA{Cert: cert, Key: key, Above: append([]*x509.Certificate{cert}, c.Above...), t: c.t}
}

// Cross is another CA as this one has signed it: name and key are the other's.
func (c *CA) Cross(other *CA) *CA {
	c.t.Helper()
	crossed := c.CA("", func(tmpl *x509.Certificate, key *crypto.Signer) {
		tmpl.Subject, tmpl.RawSubject, *key = other.Cert.Subject, other.Cert.RawSubject, other.Key
	})
	return crossed
}

// Leaf makes a user's certificate, which names no plane and no SEs.
func (c *CA) Leaf(name string, changes ...Change) *Leaf {
	c.t.Helper()
	tmpl, key := template(c.t, name, append([]Change{asUser}, changes...))
	cert := sign(c.t, tmpl, c.Cert, key, c.Key)
	return &Leaf{Cert: cert, Key: key, Above: c.Above}
}

// File writes certificates, by default the CA's own, into a file in PEM.
func (c *CA) File(certs ...*x509.Certificate) string {
	c.t.Helper()
	if certs == nil {
		certs = []*x509.Certificate{c.Cert}
	}
	path := filepath.Join(c.t.TempDir(), "ca.pem")
	if err := os.WriteFile(path, PEM(certs...), 0o600); err != nil {
		c.t.Fatal(err)
	}
	return path
}

// PEM encodes certificates.
func PEM(certs ...*x509.Certificate) (text []byte) {
	for _, cert := range certs {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})...)
	}
	return text
}

// Leaf is a user's certificate with its key.
type Leaf struct {
	Cert  *x509.Certificate
	Key   crypto.Signer
	Above []*x509.Certificate
}

// TLS is what a client shows: the certificate and the CAs above it that a server
// may not have.
func (l *Leaf) TLS() tls.Certificate {
	cert := tls.Certificate{Certificate: [][]byte{l.Cert.Raw}, PrivateKey: l.Key, Leaf: l.Cert}
	for _, ca := range l.Above {
		cert.Certificate = append(cert.Certificate, ca.Raw)
	}
	return cert
}

// Chains verifies the certificate as a TLS server does that trusts the roots, for
// which it is nil where it is not good.
func (l *Leaf) Chains(roots *x509.CertPool) ([][]*x509.Certificate, error) {
	between := x509.NewCertPool()
	for _, ca := range l.Above {
		between.AddCert(ca)
	}
	return l.Cert.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
}

// Planes gives a certificate OUs.
func Planes(ous ...string) Change {
	return func(tmpl *x509.Certificate, _ *crypto.Signer) { tmpl.Subject.OrganizationalUnit = ous }
}

// URIs gives a certificate URIs, which have to be some.
func URIs(uris ...string) Change {
	return func(tmpl *x509.Certificate, _ *crypto.Signer) {
		for _, uri := range uris {
			u, err := url.Parse(uri)
			if err != nil {
				panic(err)
			}
			tmpl.URIs = append(tmpl.URIs, u)
		}
	}
}

// Serial gives a certificate a serial number.
func Serial(n int64) Change {
	return func(tmpl *x509.Certificate, _ *crypto.Signer) { tmpl.SerialNumber = big.NewInt(n) }
}

// Until is when a certificate expires.
func Until(end time.Time) Change {
	return func(tmpl *x509.Certificate, _ *crypto.Signer) { tmpl.NotAfter = end }
}

// Key is whose certificate it is.
func Key(key crypto.Signer) Change {
	return func(_ *x509.Certificate, k *crypto.Signer) { *k = key }
}

func asCA(tmpl *x509.Certificate, _ *crypto.Signer) {
	tmpl.IsCA, tmpl.BasicConstraintsValid, tmpl.KeyUsage = true, true, x509.KeyUsageCertSign
}

func asUser(tmpl *x509.Certificate, _ *crypto.Signer) {
	tmpl.KeyUsage, tmpl.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
}

// last is the newest serial number.
var last atomic.Int64

func template(t testing.TB, name string, changes []Change) (*x509.Certificate, crypto.Signer) {
	t.Helper()
	var key crypto.Signer
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(0x10000000 + last.Add(1)), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	for _, change := range changes {
		change(tmpl, &key)
	}
	if key == nil {
		var err error
		if key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			t.Fatal(err)
		}
	}
	return tmpl, key
}

func sign(t testing.TB, tmpl, parent *x509.Certificate, key, signer crypto.Signer) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}
