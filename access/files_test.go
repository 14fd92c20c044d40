//go:build unix

package access_test

import (
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cloud-of-se/tses/access"
	"github.com/cloud-of-se/tses/internal/statefile"
	"github.com/cloud-of-se/tses/internal/statefile/statefiletest"
)

// Whatever stands in the place of a file of the state directory, it is not waited
// for, not taken, and told of.
func TestKinds(t *testing.T) {
	a, dir := authority(t)
	if _, err := a.ServerCertificate([]string{"localhost"}); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		file string
		open func() error
	}{
		{"ca.pem", func() error { _, err := access.OpenAuthority(dir); return err }},
		{"ca.key", func() error { _, err := access.OpenAuthority(dir); return err }},
		{"server.pem", func() error { _, err := a.ServerCertificate([]string{"localhost"}); return err }},
		{"credentials.json", func() error { _, err := access.NewGate(a.Registry(), nil, nil); return err }},
		{"credentials.json", func() error { _, err := a.Registry().Revoke("nobody"); return err }},
	} {
		for _, kind := range statefiletest.Kinds() {
			t.Run(tt.file+"/"+kind.Name, func(t *testing.T) {
				path := filepath.Join(dir, tt.file)
				back := kind.Put(t, path)
				defer back()
				done := make(chan error, 1)
				go func() { done <- tt.open() }()
				select {
				case err := <-done:
					want := kind.Err
					if tt.file == "ca.pem" && kind.Name == "readable" { // which it is for
						want = nil
					}
					if errors.Is(err, access.ErrNoCredential) {
						err = nil // and it was read
					}
					if (err == nil) != (want == nil) || !errors.Is(err, want) {
						t.Errorf("got %v, want %v", err, want)
					}
					if err != nil && !strings.Contains(err.Error(), path) {
						t.Errorf("%v does not name %s", err, path)
					}
				case <-time.After(20 * time.Second):
					t.Error("it waits")
				}
			})
		}
	}
}

// The lock of the registry is opened for writing: what it leads to stays as it is.
func TestRegistryLockKinds(t *testing.T) {
	for _, kind := range statefiletest.Kinds() {
		a, dir := authority(t)
		if _, err := a.Registry().Revoke("0123456789"); err != nil {
			t.Fatal(err)
		}
		back := kind.Put(t, filepath.Join(dir, "credentials.json.lock"))
		_, err := a.Registry().Revoke("0123456780")
		want := kind.Err
		switch kind.Name {
		case "3 GB of holes":
			want = nil
		case "hard link", "readable":
			want = statefile.ErrNames
		}
		if (err == nil) != (want == nil) || !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", kind.Name, err, want)
		}
		back()
	}
}

// A server that has its certificate does not need the key of its CA, and says so
// where it does.
func TestKeyElsewhere(t *testing.T) {
	a, dir := authority(t)
	first, err := a.ServerCertificate([]string{"localhost"})
	if err != nil {
		t.Fatal(err)
	}
	safe := filepath.Join(t.TempDir(), "safe.key")
	if err := os.Rename(filepath.Join(dir, "ca.key"), safe); err != nil {
		t.Fatal(err)
	}
	b, err := access.OpenAuthority(dir)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := b.ServerCertificate([]string{"localhost", "other.example"})
	if err != nil || access.SerialString(pair.Leaf) != access.SerialString(first.Leaf) {
		t.Fatalf("the certificate that is there: %v", err)
	}
	if err := b.Lacks(pair.Leaf, []string{"localhost", "other.example"}); err == nil || !strings.Contains(err.Error(), "other.example") || strings.Contains(err.Error(), "localhost") {
		t.Errorf("got %v, want what it lacks", err)
	}
	order := access.Order{Name: "alice", Planes: access.User, Life: year}
	if _, _, err := b.Issue(order); !errors.Is(err, access.ErrNoKey) || !strings.Contains(err.Error(), "-ca-key") {
		t.Errorf("issue: got %v, want ErrNoKey", err)
	}
	if entries, err := b.Registry().Entries(); err != nil || len(entries) != 0 {
		t.Errorf("what was not issued is in the registry: %v, %v", entries, err)
	}
	if _, err := b.Registry().Revoke("0123456789"); err != nil {
		t.Errorf("revoke: %v", err)
	}
	foreign, foreignDir := authority(t)
	if err := b.TakeKey(foreign.KeyPath()); err == nil || !strings.Contains(err.Error(), foreignDir) || b.HasKey() {
		t.Errorf("the key of another CA: %v", err)
	}
	if err := b.TakeKey(safe); err != nil || !b.HasKey() {
		t.Fatal(err)
	}
	c, _, err := b.Issue(order)
	if err != nil || c.Name != "alice" {
		t.Error(err)
	}
	renewed, err := b.NewServerCertificate([]string{"localhost", "other.example"})
	if err != nil || b.Lacks(renewed.Leaf, []string{"localhost", "other.example"}) != nil {
		t.Errorf("renewed: %v", err)
	}
	names, err := b.ServerNames()
	if err != nil || strings.Join(names, " ") != "localhost other.example" {
		t.Errorf("names %q, %v", names, err)
	}
}

// Without key and certificate, or with one that has expired, there is no server.
func TestNoKeyNoCertificate(t *testing.T) {
	a, dir := authority(t)
	if err := os.Rename(a.KeyPath(), filepath.Join(t.TempDir(), "safe.key")); err != nil {
		t.Fatal(err)
	}
	b, err := access.OpenAuthority(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.ServerCertificate([]string{"localhost"}); !errors.Is(err, access.ErrNoKey) {
		t.Errorf("no certificate: got %v, want ErrNoKey", err)
	}
	expired := &x509.Certificate{}
	if err := b.Lacks(expired, nil); err == nil {
		t.Error("a certificate of nobody lacks nothing")
	}
	_, text, err := a.Issue(access.Order{Name: "x", Planes: access.User, Life: time.Nanosecond})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "server.pem"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := b.ServerCertificate([]string{"localhost"}); !errors.Is(err, access.ErrNoKey) || !strings.Contains(err.Error(), "expired on") {
		t.Errorf("expired: got %v, want that and ErrNoKey", err)
	}
}
