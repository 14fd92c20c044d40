package access_test

import (
	"context"
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

// trusting trusts an authority and further CAs.
func trusting(t testing.TB, a *access.Authority, further ...access.Further) *access.Trust {
	t.Helper()
	trust, err := access.NewTrust(a.Certificate(), further...)
	if err != nil {
		t.Fatal(err)
	}
	return trust
}

// TestWatch follows one credential through the time of a fake clock: each step
// is done at once and seen within a second.
func TestWatch(t *testing.T) {
	a, dir := authority(t)
	path := filepath.Join(dir, "credentials.json")
	synctest.Test(t, func(t *testing.T) {
		bob := &access.Credential{Name: "bob", Serial: "abcdef01", NotAfter: time.Now().Add(time.Hour)}
		gate, err := access.NewGate(a.Registry(), trusting(t, a), nil)
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

// TestVanishedRevocations takes revocations out of the registry of a running
// server, in the ways that a restored copy, an editor or a hand may.
func TestVanishedRevocations(t *testing.T) {
	a, dir := authority(t)
	path := filepath.Join(dir, "credentials.json")
	for _, serial := range []string{"abcdef01", "abcdef02"} {
		if _, err := a.Registry().Revoke(serial); err != nil {
			t.Fatal(err)
		}
	}
	whole := read(t, dir, "credentials.json")
	synctest.Test(t, func(t *testing.T) {
		gate, err := access.NewGate(a.Registry(), trusting(t, a), nil)
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		said := make(chan error, 10)
		done := make(chan struct{})
		go func() {
			defer close(done)
			gate.Watch(ctx, func() {}, func(err error) { said <- err })
		}()
		write := func(text string) {
			t.Helper()
			if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(path+".new", path); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			synctest.Wait()
		}
		check := func(when string, wants ...string) {
			t.Helper()
			for _, want := range wants {
				select {
				case err := <-said:
					if !errors.Is(err, access.ErrVanished) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
						t.Errorf("%s: %v, want ErrVanished with %q", when, err, want)
					}
				default:
					t.Errorf("%s: nothing is said", when)
				}
			}
			if len(said) > 0 {
				t.Errorf("%s: said too much: %v", when, <-said)
			}
			for _, serial := range []string{"abcdef01", "abcdef02"} {
				c := &access.Credential{Name: "bob", Serial: serial, NotAfter: time.Now().Add(time.Hour)}
				if err := gate.Check(c); !errors.Is(err, access.ErrRevoked) {
					t.Errorf("%s: %s is let in: %v", when, serial, err)
				}
			}
		}
		write(`[{"serial":"abcdef02","revoked":"2026-01-02T03:04:05Z"}]`)
		check("one is gone", "1 revocations have vanished from the registry of credentials, such as serial abcdef01;")
		write("[]")
		check("all are gone", "2 revocations")
		time.Sleep(time.Minute)
		synctest.Wait()
		check("a minute later, without a change")
		write(`[{"serial":"abcdef01"},{"serial":"abcdef02","issuer":"` + strings.Repeat("0", 64) + `","revoked":"2026-01-02T03:04:05Z"}]`)
		check("one is valid again, one is that of one CA alone", "such as serial abcdef01, abcdef02;")
		write(string(whole))
		check("restored, without the one that is another CA's", "abcdef02 of CA 0000000000000000;")
		// What is seen first by somebody who comes in is said, too.
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("[]"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := gate.Admit(nil); !errors.Is(err, access.ErrNotAdmitted) {
			t.Error(err)
		}
		if err := os.WriteFile(path, whole, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := gate.Admit(nil); !errors.Is(err, access.ErrNotAdmitted) {
			t.Error(err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		check("gone and back between two looks", "3 revocations")
		stop()
		<-done
	})
}
