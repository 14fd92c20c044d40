package access_test

import (
	"context"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloud-of-se/tses/access"
)

func TestAdmit(t *testing.T) {
	a, _ := authority(t)
	gate, err := access.NewGate(a.Registry())
	if err != nil {
		t.Fatal(err)
	}
	cert, err := certificate(t, []string{"user"})
	if err != nil {
		t.Fatal(err)
	}
	if c, err := gate.Admit([]*x509.Certificate{cert}); err != nil || c.Name != "alice" {
		t.Errorf("%+v, %v", c, err)
	}
	if cert, err = certificate(t, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := gate.Admit([]*x509.Certificate{cert}); !errors.Is(err, access.ErrNoPlane) {
		t.Errorf("no plane: %v", err)
	}
}

// TestWatch follows one credential through the time of a fake clock: each step
// is done at once and seen within a second.
func TestWatch(t *testing.T) {
	a, dir := authority(t)
	path := filepath.Join(dir, "credentials.json")
	synctest.Test(t, func(t *testing.T) {
		bob := &access.Credential{Name: "bob", Serial: "abcdef01", NotAfter: time.Now().Add(time.Hour)}
		gate, err := access.NewGate(a.Registry())
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		var mu sync.Mutex // what follows, and bob, is the watcher's while time passes
		mu.Lock()
		defer mu.Unlock()
		rechecks, failures := 0, []error(nil)
		var last error // of the last recheck
		done := make(chan struct{})
		go func() {
			defer close(done)
			gate.Watch(ctx, func() {
				mu.Lock()
				defer mu.Unlock()
				rechecks++
				last = gate.Check(bob)
			}, func(err error) {
				mu.Lock()
				defer mu.Unlock()
				failures = append(failures, err)
			})
		}()
		pass := func(d time.Duration) {
			mu.Unlock()
			time.Sleep(d)
			synctest.Wait()
			mu.Lock()
		}
		second := func() { pass(time.Second) }
		second()
		if rechecks != 1 || last != nil || failures != nil {
			t.Fatalf("in a quiet second: %d rechecks, %v, %v", rechecks, last, failures)
		}
		if err := os.WriteFile(path, []byte(`[{"serial":"abcdef01","revoked":`), 0o600); err != nil {
			t.Fatal(err)
		}
		second()
		second()
		if len(failures) != 1 || !strings.Contains(failures[0].Error(), path) || last != nil {
			t.Fatalf("unreadable: reported %v, want once; %v", failures, last)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		second()
		if len(failures) != 1 || last != nil {
			t.Fatalf("missing after unreadable: reported %v", failures)
		}
		if err := os.WriteFile(path, []byte("[]\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		second()
		if _, err := a.Registry().Revoke("abcdef01"); err != nil {
			t.Fatal(err)
		}
		before := rechecks
		pass(250 * time.Millisecond)
		if rechecks == before || !errors.Is(last, access.ErrRevoked) {
			t.Fatalf("a revocation is not seen after 250 ms: %v", last)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		second()
		if len(failures) != 2 || !errors.Is(gate.Check(bob), access.ErrRevoked) {
			t.Fatalf("unreadable again: reported %v; %v, want the last known in force", failures, gate.Check(bob))
		}
		bob.Serial = "1"
		pass(time.Hour)
		if !errors.Is(last, access.ErrExpired) || !strings.Contains(last.Error(), "serial 1: ") {
			t.Fatalf("expiry is not seen: %v", last)
		}
		stop()
		mu.Unlock()
		<-done
		mu.Lock()
	})
}
