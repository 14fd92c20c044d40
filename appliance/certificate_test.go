package main

import (
	"bytes"
	"crypto/tls"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloud-of-se/tses/access"
)

// A server without its CA's key hands out the certificate that it has, warns in
// time, and takes the one that its owner renews.
func TestKeyElsewhere(t *testing.T) {
	dir, safe := t.TempDir(), filepath.Join(t.TempDir(), "safe.key")
	synctest.Test(t, func(t *testing.T) {
		a, err := access.CreateAuthority(dir)
		if err != nil {
			t.Fatal(err)
		}
		first, err := a.ServerCertificate([]string{"localhost"})
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(a.KeyPath(), safe); err != nil {
			t.Fatal(err)
		}
		var said bytes.Buffer
		log := slog.New(slog.NewTextHandler(&said, nil))
		if a, err = access.OpenAuthority(dir); err != nil {
			t.Fatal(err)
		}
		s := &serverCertificate{authority: a, names: []string{"localhost"}, log: log}
		serves := func(want *tls.Certificate, level, text string) {
			t.Helper()
			got, err := s.get()
			if err != nil || !bytes.Equal(got.Certificate[0], want.Certificate[0]) {
				t.Fatalf("it hands out another certificate: %v", err)
			}
			if log := said.String(); !strings.Contains(log, text) || level != "" && !strings.Contains(log, "level="+level) || text == "" && log != "" {
				t.Errorf("the log is %q, want %s %q", log, level, text)
			}
			said.Reset()
		}
		serves(first, "INFO", "as is well")
		serves(first, "", "")
		time.Sleep(25 * time.Hour) // of the test's own clock
		serves(first, "INFO", "as is well")
		time.Sleep(time.Until(first.Leaf.NotAfter.Add(-29 * 24 * time.Hour)))
		serves(first, "WARN", "expires in 29 days")
		time.Sleep(25 * time.Hour)
		serves(first, "WARN", "expires in 27 days")

		owner, err := access.OpenAuthority(dir)
		if err := errors.Join(err, owner.TakeKey(safe)); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := renew(owner, []string{"tses.example"}, &out); err != nil || !strings.Contains(out.String(), "localhost, tses.example, until") {
			t.Fatalf("%v: %s", err, out.String())
		}
		renewed, err := owner.ServerCertificate([]string{"localhost", "tses.example"})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * lookEvery)
		serves(renewed, "INFO", "as is well")
		// What is put there and is none leaves the one that is in use.
		if err := os.WriteFile(a.ServerCertificatePath(), []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * lookEvery)
		serves(renewed, "ERROR", "the old one is used")
	})
}
