//go:build linux

package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cloud-of-se/tses/gokrazy/sdcard"
)

// ca signs certificates.
type ca struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newCA(t *testing.T, by *ca, change func(*x509.Certificate)) *ca {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Unix(1e9, 0), NotAfter: time.Unix(2e9, 0), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	if change != nil {
		change(template)
	}
	parent, signer := template, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &ca{cert, key}
}

// What the TSES shows is evidence if the owner has signed it for a client, and
// anything else that somebody can put in its place neither is nor does harm.
func TestShownTime(t *testing.T) {
	dir := t.TempDir()
	owner, stranger := newCA(t, nil, nil), newCA(t, nil, nil)
	box := newCA(t, owner, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })
	begins := time.Unix(1_500_000_000, 0)
	client := func(c *x509.Certificate) {
		c.NotBefore, c.IsCA, c.KeyUsage, c.ExtKeyUsage = begins, false, x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	}
	ownerPath := filepath.Join(dir, "owner-ca.pem")
	if err := os.WriteFile(ownerPath, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: owner.cert.Raw}), 0o644); err != nil {
		t.Fatal(err)
	}
	good := newCA(t, owner, client).cert.Raw
	elsewhere := filepath.Join(dir, "elsewhere")
	if err := os.WriteFile(elsewhere, good, 0o600); err != nil {
		t.Fatal(err)
	}
	file := func(content []byte) func(string) error {
		return func(path string) error { return os.WriteFile(path, content, 0o600) }
	}
	for name, tt := range map[string]struct {
		put  func(path string) error
		want error // errShown, os.ErrNotExist, errAny, or nil
	}{
		"the owner's":            {file(good), nil},
		"nothing":                {func(string) error { return nil }, os.ErrNotExist},
		"a stranger's":           {file(newCA(t, stranger, client).cert.Raw), errShown},
		"the box's own CA's":     {file(newCA(t, box, client).cert.Raw), errShown},
		"the box's CA":           {file(box.cert.Raw), errShown},
		"a CA for clients":       {file(newCA(t, owner, func(c *x509.Certificate) { client(c); c.IsCA = true }).cert.Raw), errShown},
		"a server's":             {file(newCA(t, owner, func(c *x509.Certificate) { client(c); c.ExtKeyUsage = box.cert.ExtKeyUsage }).cert.Raw), errShown},
		"a bit of it is another": {file(flipped(good)), errShown},
		"two":                    {file(append(bytes.Clone(good), good...)), errShown},
		"garbage":                {file([]byte("x")), errShown},
		"too long":               {file(make([]byte, sdcard.MaxShown+1)), errAny},
		"a link":                 {func(path string) error { return os.Symlink(elsewhere, path) }, errAny},
		"a pipe":                 {func(path string) error { return unix.Mkfifo(path, 0o600) }, errAny},
		"a directory":            {func(path string) error { return os.Mkdir(path, 0o700) }, errAny},
		"a file with a hole": {func(path string) error {
			return errors.Join(file(good)(path), os.Truncate(path, 3<<30))
		}, errAny},
	} {
		path := filepath.Join(t.TempDir(), sdcard.ShownFile)
		if err := tt.put(path); err != nil {
			t.Fatal(err)
		}
		got, err := shownTime(path, ownerPath)
		switch {
		case tt.want == nil:
			if err != nil || !got.Equal(begins) {
				t.Errorf("%s: %v, %v; want %v", name, got, err, begins)
			}
		case err == nil || tt.want != errAny && !errors.Is(err, tt.want):
			t.Errorf("%s: %v, %v; want %v", name, got, err, tt.want)
		}
	}
}

var errAny = errors.New("any")

// flipped changes what is signed, in the name or the dates.
func flipped(der []byte) []byte {
	b := bytes.Clone(der)
	i := bytes.Index(b, []byte("170714"))
	b[i+1] = '8'
	return b
}
