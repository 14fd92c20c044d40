package access_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/cloud-of-se/tses/access"
)

func read(t *testing.T, dir, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestCreateAuthority(t *testing.T) {
	a, dir := authority(t)
	if _, err := a.ServerCertificate([]string{"localhost"}); err != nil {
		t.Fatal(err)
	}
	want := map[string]fs.FileMode{"ca.pem": 0o644, "ca.key": 0o600, "server.pem": 0o600, "credentials.json": 0o600}
	got := make(map[string]fs.FileMode)
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		info, err := f.Info()
		if err != nil {
			t.Fatal(err)
		}
		got[f.Name()] = info.Mode().Perm()
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	ca := a.Certificate()
	if key, ok := ca.PublicKey.(*ecdsa.PublicKey); !ok || key.Curve != elliptic.P256() || !ca.IsCA || ca.CheckSignatureFrom(ca) != nil {
		t.Errorf("the CA: %T, CA %v", ca.PublicKey, ca.IsCA)
	}
	before := append(read(t, dir, "ca.key"), read(t, dir, "ca.pem")...)
	if _, err := access.CreateAuthority(dir); !errors.Is(err, access.ErrAuthority) {
		t.Errorf("a second one: %v, want ErrAuthority", err)
	}
	if !bytes.Equal(before, append(read(t, dir, "ca.key"), read(t, dir, "ca.pem")...)) {
		t.Error("the CA was replaced")
	}
}

// TestCreateAuthorityAfterACut begins with what a power cut can leave.
func TestCreateAuthorityAfterACut(t *testing.T) {
	whole, dir := authority(t)
	_, credential, err := whole.Issue(access.Order{Name: "alice", Planes: access.User, Life: year})
	if err != nil {
		t.Fatal(err)
	}
	registry := read(t, dir, "credentials.json")
	for _, tt := range []struct {
		name  string
		files []string
	}{
		{"nothing", nil},
		{"the registry", []string{"credentials.json"}},
		{"registry and key", []string{"credentials.json", "ca.key"}},
	} {
		cut := t.TempDir()
		for _, name := range append(tt.files, ".ca.key.12345") {
			b := []byte("half a fi")
			if !strings.HasPrefix(name, ".") {
				b = read(t, dir, name)
			}
			if err := os.WriteFile(filepath.Join(cut, name), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		a, err := access.CreateAuthority(cut)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if len(tt.files) > 0 && !bytes.Equal(read(t, cut, "credentials.json"), registry) {
			t.Errorf("%s: the registry was replaced", tt.name)
		}
		if len(tt.files) == 2 {
			block, _ := pem.Decode(credential)
			cert, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				t.Fatal(err)
			}
			roots := x509.NewCertPool()
			roots.AddCert(a.Certificate())
			if _, err := cert.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
				t.Errorf("what the key has signed is not good any more: %v", err)
			}
		}
	}
}

func TestLostFiles(t *testing.T) {
	if _, err := access.OpenAuthority(t.TempDir()); !errors.Is(err, access.ErrNoAuthority) {
		t.Errorf("empty directory: %v, want ErrNoAuthority", err)
	}
	_, dir := authority(t)
	key := read(t, dir, "ca.key")
	for _, tt := range []struct {
		name   string
		change func() error
		want   string
	}{
		{"another's key", func() error {
			_, other := authority(t)
			return os.WriteFile(filepath.Join(dir, "ca.key"), read(t, other, "ca.key"), 0o600)
		}, "is not the private key of"},
	} {
		if err := tt.change(); err != nil {
			t.Fatal(err)
		}
		if _, err := access.OpenAuthority(dir); err == nil || errors.Is(err, access.ErrNoAuthority) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
	// A key without registry is no beginning: revocations were lost.
	if err := errors.Join(os.WriteFile(filepath.Join(dir, "ca.key"), key, 0o600), os.Remove(filepath.Join(dir, "ca.pem")), os.Remove(filepath.Join(dir, "credentials.json"))); err != nil {
		t.Fatal(err)
	}
	a, err := access.CreateAuthority(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Registry().Entries(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the registry was made anew: %v", err)
	}
	if err := errors.Join(os.WriteFile(filepath.Join(dir, "ca.key"), []byte("not PEM"), 0o600), os.Remove(filepath.Join(dir, "ca.pem"))); err != nil {
		t.Fatal(err)
	}
	if _, err := access.CreateAuthority(dir); err == nil || string(read(t, dir, "ca.key")) != "not PEM" {
		t.Errorf("a broken key: %v; the file is %q", err, read(t, dir, "ca.key"))
	}
}

func TestIssue(t *testing.T) {
	a, _ := authority(t)
	globs := []string{"sim*", "[a-c]?", `x\*y`}
	c, text, err := a.Issue(access.Order{Name: "bob", Planes: access.User | access.Administrative, SEs: globs, Life: 100 * year})
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(text, text)
	if err != nil {
		t.Fatal(err)
	}
	again, err := access.FromCertificate(pair.Leaf)
	if err != nil {
		t.Fatal(err)
	}
	want := &access.Credential{Name: "bob", Serial: access.SerialString(pair.Leaf), Planes: access.User | access.Administrative, SEs: globs, NotAfter: a.Certificate().NotAfter}
	plain := cmpopts.IgnoreUnexported(access.Credential{})
	if diff := cmp.Diff(want, again, plain); diff != "" {
		t.Error(diff)
	}
	again.Issuer = access.KeyID(a.Certificate()) // as Issue knows
	if diff := cmp.Diff(again, c, plain); diff != "" {
		t.Errorf("Issue said otherwise: %s", diff)
	}
	good := access.Order{Name: "x", Planes: access.User, Life: year}
	for _, tt := range []struct {
		name   string
		change func(*access.Order)
	}{
		{"no name", func(o *access.Order) { o.Name = "" }},
		{"long name", func(o *access.Order) { o.Name = strings.Repeat("x", 65) }},
		{"space in the name", func(o *access.Order) { o.Name = "a b" }},
		{"control byte in the name", func(o *access.Order) { o.Name = "a\nb" }},
		{"no UTF-8", func(o *access.Order) { o.Name = "a\xFF" }},
		{"no plane", func(o *access.Order) { o.Planes = 0 }},
		{"no life", func(o *access.Order) { o.Life = 0 }},
		{"bad glob", func(o *access.Order) { o.SEs = []string{"a["} }},
		{"empty glob", func(o *access.Order) { o.SEs = []string{""} }},
	} {
		o := good
		tt.change(&o)
		if c, text, err := a.Issue(o); err == nil || c != nil || text != nil {
			t.Errorf("%s: issued", tt.name)
		}
	}
	if got := states(t, a); len(got) != 1 {
		t.Errorf("the registry has %v, want bob alone", got)
	}
}

func TestServerCertificate(t *testing.T) {
	a, dir := authority(t)
	get := func(names ...string) string {
		t.Helper()
		pair, err := a.ServerCertificate(names)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if err := pair.Leaf.VerifyHostname(name); err != nil {
				t.Error(err)
			}
		}
		if err := pair.Leaf.CheckSignatureFrom(a.Certificate()); err != nil {
			t.Error(err)
		}
		return access.SerialString(pair.Leaf)
	}
	first := get("localhost", "127.0.0.1", "::1")
	if get("localhost", "127.0.0.1", "::1") != first || get("localhost") != first {
		t.Error("renewed without need")
	}
	second := get("localhost", "tses.example")
	if second == first {
		t.Error("not renewed for another name")
	}
	if err := os.WriteFile(filepath.Join(dir, "server.pem"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if get("localhost", "tses.example") == second {
		t.Error("a broken file was not replaced")
	}
	// A server certificate has two years; a credential stands in for one with
	// less left.
	for _, tt := range []struct {
		days  int
		renew bool
	}{{29, true}, {31, false}} {
		_, text, err := a.Issue(access.Order{Name: "x", Planes: access.User, Life: time.Duration(tt.days) * 24 * time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		pair, err := tls.X509KeyPair(text, text)
		if err != nil {
			t.Fatal(err)
		}
		if kept := access.Serves(a, pair.Leaf); kept == tt.renew {
			t.Errorf("%d days left: kept %v", tt.days, kept)
		}
	}
	if _, err := a.ServerCertificate(nil); err == nil {
		t.Error("a server certificate without a name")
	}
}
