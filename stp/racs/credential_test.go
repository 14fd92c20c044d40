package racs_test

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cloud-of-se/tses/stp/racs"
)

func TestLoadCredential(t *testing.T) {
	ca, other := newAuthority(t, "CA"), newAuthority(t, "other CA")
	credential := ca.issue("user", nil)
	certPEM := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: credential.Certificate[0]}))
	keyPEM := keyPEM(t, credential.PrivateKey)
	encrypted := string(pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte{1}}))
	tests := []struct{ name, content, says string }{
		{"certificate first", certPEM + keyPEM, ""},
		{"key first", keyPEM + certPEM, ""},
		{"with words around", "Subject: user\n" + certPEM + "\nkey:\n" + keyPEM, ""},
		{"no key", certPEM, "no private key"},
		{"no certificate", keyPEM, "no certificate"},
		{"nothing", "", "no certificate"},
		{"another key", certPEM + keyPEMOf(t), "do not belong together"},
		{"encrypted", certPEM + encrypted, "encrypted"},
		{"broken", strings.Replace(certPEM, "MII", "AAA", 1) + keyPEM, "cannot be read"},
		{"too large", strings.Repeat("x", 2<<20), "too large"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "cred.pem")
			if err := os.WriteFile(file, []byte(test.content), 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := racs.LoadCredential(file)
			if test.says != "" {
				if !errors.Is(err, racs.ErrCredential) || !strings.Contains(err.Error(), test.says) || !strings.Contains(err.Error(), file) {
					t.Errorf("got %v, want an ErrCredential that says %q", err, test.says)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := racs.CheckIssuer(got, []*x509.Certificate{other.cert, ca.cert}); err != nil {
				t.Error(err)
			}
			if err := racs.CheckIssuer(got, []*x509.Certificate{other.cert}); err == nil || !strings.Contains(err.Error(), `"CN=CA"`) {
				t.Errorf("issuer of another CA: %v", err)
			}
		})
	}
	if _, err := racs.LoadCredential(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v, want fs.ErrNotExist", err)
	}
}

func TestLoadCA(t *testing.T) {
	one, two := newAuthority(t, "one"), newAuthority(t, "two")
	file := filepath.Join(t.TempDir(), "ca.pem")
	write := func(content string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var both string
	for _, ca := range []*authority{one, two} {
		both += string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.cert.Raw}))
	}
	write(both)
	got, err := racs.LoadCA(file)
	if err != nil || len(got) != 2 || !got[1].Equal(two.cert) {
		t.Errorf("got %d certificates, %v, want both", len(got), err)
	}
	for content, says := range map[string]string{
		"":                                   "no certificate",
		keyPEM(t, one.key):                   "no certificate",
		strings.Replace(both, "MI", "AA", 1): "certificate 1 cannot be read",
	} {
		write(content)
		if _, err := racs.LoadCA(file); !errors.Is(err, racs.ErrCredential) || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v, want an ErrCredential that says %q", err, says)
		}
	}
}

func keyPEM(t *testing.T, key any) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func keyPEMOf(t *testing.T) string { return keyPEM(t, newKey(t)) }
