package access_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cloud-of-se/tses/access"
	"github.com/cloud-of-se/tses/access/accesstest"
)

func TestReadCAs(t *testing.T) {
	one, two := accesstest.New(t, "one"), accesstest.New(t, "two")
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	weak := accesstest.New(t, "weak", accesstest.Key(small))
	signs := accesstest.New(t, "signs CRLs", func(c *x509.Certificate, _ *crypto.Signer) { c.KeyUsage = x509.KeyUsageCRLSign })
	pem := func(certs ...*x509.Certificate) string { return string(accesstest.PEM(certs...)) }
	for _, tt := range []struct {
		name, text string
		n          int
		want       string // part of the error
	}{
		{"one", pem(one.Cert), 1, ""},
		{"two with text between", "one\n" + pem(one.Cert) + "two\n" + pem(two.Cert) + "end\n", 2, ""},
		{"a CA below another", pem(one.CA("below").Cert), 1, ""},
		{"none", "hello\n", 0, "holds no certificate"},
		{"empty", "", 0, "holds no certificate"},
		{"a user's", pem(one.Leaf("bob").Cert), 0, "not a CA's certificate"},
		{"a good one and a user's", pem(one.Cert, one.Leaf("bob").Cert), 0, "certificate 2"},
		{"one that may not sign", pem(signs.Cert), 0, "keyCertSign"},
		{"a weak one", pem(weak.Cert), 0, "RSA key of 1024 bits"},
		{"cut short", pem(one.Cert) + pem(two.Cert)[:200], 0, "does not end"},
		{"spoilt", strings.Replace(pem(one.Cert), "MII", "MIX", 1), 0, "ertificate"},
		{"a private key", pem(one.Cert) + "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", 0, "PRIVATE KEY"},
		{"too much", strings.Repeat("x", 1<<20+1), 0, "too large"},
	} {
		path := filepath.Join(t.TempDir(), "ca.pem")
		if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		cas, err := access.ReadCAs(path)
		if len(cas) != tt.n || (err == nil) != (tt.want == "") || err != nil && (!strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), path)) {
			t.Errorf("%s: %d, %v; want %d, %q", tt.name, len(cas), err, tt.n, tt.want)
		}
	}
	if _, err := access.ReadCAs(filepath.Join(t.TempDir(), "ca.pem")); !os.IsNotExist(err) {
		t.Errorf("missing: %v", err)
	}
}

func TestTrustIsInOnePlace(t *testing.T) {
	w := newWorld(t)
	further := func(name string, certs ...*x509.Certificate) access.Further {
		return access.Further{Name: name, Certificates: certs}
	}
	crossed := w.partner.Cross(w.ca).Cert
	for _, tt := range []struct {
		name    string
		further []access.Further
		want    string
	}{
		{"twice in one file", []access.Further{further("a", w.partner.Cert, w.partner.Cert)}, ""},
		{"in two files", []access.Further{further("a", w.partner.Cert), further("b", w.partner.Cert)}, "is in a too"},
		{"the own CA", []access.Further{further("a", w.own.Certificate())}, "this TSES's own CA"},
		{"the own CA as another has signed it", []access.Further{further("a", crossed)}, "this TSES's own CA"},
		{"nothing", []access.Further{further("a")}, "holds no certificate"},
		{"no CA", []access.Further{further("a", w.partner.Leaf("x").Cert)}, "not a CA's"},
		{"a bad glob", []access.Further{{Name: "a", Certificates: []*x509.Certificate{w.partner.Cert}, SEs: []string{"["}}}, `glob "["`},
	} {
		_, err := access.NewTrust(w.own.Certificate(), tt.further...)
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
	old := accesstest.New(t, "old", accesstest.Until(time.Now().Add(-time.Minute)))
	if err := further("old.pem", old.Cert).CheckDates(time.Now()); err == nil || !strings.Contains(err.Error(), "old.pem") {
		t.Errorf("expired: %v", err)
	}
	if err := further("a", w.partner.Cert).CheckDates(time.Now()); err != nil {
		t.Error(err)
	}
}
