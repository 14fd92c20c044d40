package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"os/exec"
	"strconv"
	"testing"
	"time"
)

// world is what the scripts find: files, and servers by the name of the
// variable that holds their address.
type world struct {
	files     map[string][]byte
	addresses map[string]string
}

func newWorld(t *testing.T) *world {
	ca, other := newAuthority(t, "TSES CA"), newAuthority(t, "other CA")
	user := ca.issue("user", nil)
	revoked := ca.issue("revoked", nil)
	config := func(server tls.Certificate) *tls.Config {
		pool := x509.NewCertPool()
		pool.AddCert(ca.cert)
		return &tls.Config{
			Certificates: []tls.Certificate{server}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert,
			VerifyConnection: func(s tls.ConnectionState) error {
				if s.PeerCertificates[0].Equal(revoked.Leaf) {
					return errors.New("revoked")
				}
				return nil
			},
		}
	}
	good := ca.issue("server", nil)
	old := config(good)
	old.MaxVersion = tls.VersionTLS12
	w := &world{
		files: map[string][]byte{
			"ca.pem":         certPEM(ca.cert),
			"otherca.pem":    certPEM(other.cert),
			"empty.pem":      nil,
			"user.pem":       credentialPEM(t, user),
			"revoked.pem":    credentialPEM(t, revoked),
			"expired.pem":    credentialPEM(t, ca.issue("expired", dates(-2*time.Hour, -time.Hour))),
			"future.pem":     credentialPEM(t, ca.issue("future", dates(time.Hour, 2*time.Hour))),
			"planeless.pem":  credentialPEM(t, ca.issue("planeless", func(c *x509.Certificate) { c.Subject.OrganizationalUnit = nil })),
			"stranger.pem":   credentialPEM(t, other.issue("stranger", nil)),
			"mismatched.pem": append(certPEM(user.Leaf), keyPEM(t, revoked)...),
			"keyless.pem":    certPEM(user.Leaf),
			"blind.pem":      credentialPEM(t, ca.issue("blind", nil)),
			"calm.pem":       credentialPEM(t, ca.issue("calm", nil)),
			"barred.pem":     credentialPEM(t, ca.issue("barred", nil)),
			"unlucky.pem":    credentialPEM(t, ca.issue("unlucky", nil)),
			"hostile.pem":    credentialPEM(t, ca.issue("hostile", nil)),
			"crowd.pem":      credentialPEM(t, ca.issue("crowd", nil)),
		},
		addresses: map[string]string{
			"RACS_SERVER":    listen(t, serveRACS(config(good))),
			"SERVER_EXPIRED": listen(t, serveRACS(config(ca.issue("server", dates(-2*time.Hour, -time.Hour))))),
			"SERVER_FUTURE":  listen(t, serveRACS(config(ca.issue("server", dates(time.Hour, 2*time.Hour))))),
			"SERVER_OLD":     listen(t, serveRACS(config(ca.issue("server", dates(-time.Since(time.Unix(0, 0))-time.Hour, time.Hour))))),
			"SERVER_HANGUP":  listen(t, hangUp(config(good))),
			"SERVER_OTHERCA": listen(t, serveRACS(config(other.issue("server", nil)))),
			"SERVER_NAMED":   listen(t, serveRACS(config(ca.issue("server", func(c *x509.Certificate) { c.DNSNames, c.IPAddresses = []string{"tses.example"}, nil })))),
			"SERVER_TLS12":   listen(t, serveRACS(old)),
			"SERVER_EVIL":    listen(t, serveRACS(config(newAuthority(t, "evil\u009b2J\u202e").issue("server", nil)))),
			"SERVER_PLAIN":   listen(t, func(conn net.Conn) { io.WriteString(conn, "220 mail.example\r\n"); io.Copy(io.Discard, conn) }),
			"SERVER_SILENT":  listen(t, func(conn net.Conn) { io.Copy(io.Discard, conn) }),
			"SERVER_CLOSED":  closedPort(t),
		},
	}
	return w
}

// listen plays each connection in a goroutine of its own until the test ends.
func listen(t *testing.T, play func(net.Conn)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return // the listener was closed
			}
			go func() {
				defer conn.Close()
				conn.SetDeadline(time.Now().Add(30 * time.Second))
				play(conn)
			}()
		}
	}()
	t.Cleanup(func() { listener.Close() })
	return listener.Addr().String()
}

func closedPort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T, name string) *authority {
	key := newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Date(1960, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Now().Add(100 * time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	return &authority{t, sign(t, template, template, key, key), key}
}

func (a *authority) issue(name string, change func(*x509.Certificate)) tls.Certificate {
	key := newKey(a.t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name, OrganizationalUnit: []string{"user"}},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(50 * time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	if change != nil {
		change(template)
	}
	leaf := sign(a.t, template, a.cert, key, a.key)
	return tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}
}

func dates(from, until time.Duration) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.NotBefore, c.NotAfter = time.Now().Add(from), time.Now().Add(until) }
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func sign(t *testing.T, template, parent *x509.Certificate, key, parentKey *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, parentKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func certPEM(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

func keyPEM(t *testing.T, credential tls.Certificate) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(credential.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func credentialPEM(t *testing.T, credential tls.Certificate) []byte {
	return append(certPEM(credential.Leaf), keyPEM(t, credential)...)
}

func exitCode(err error) string {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return "0"
	case errors.As(err, &exit):
		return strconv.Itoa(exit.ExitCode())
	}
	return err.Error()
}
