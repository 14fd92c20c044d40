package access_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloud-of-se/tses/access"
)

const year = 365 * 24 * time.Hour

func authority(t testing.TB) (*access.Authority, string) {
	t.Helper()
	dir := t.TempDir()
	a, err := access.CreateAuthority(dir)
	if err != nil {
		t.Fatal(err)
	}
	return a, dir
}

func issue(t testing.TB, a *access.Authority, name string, life time.Duration) *access.Credential {
	t.Helper()
	c, _, err := a.Issue(access.Order{Name: name, Planes: access.User, Life: life})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// states is the registry as "name state", in its order.
func states(t *testing.T, a *access.Authority) (all []string) {
	t.Helper()
	entries, err := a.Registry().Entries()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		all = append(all, e.Name+" "+e.State(time.Now()))
	}
	return all
}

func TestRevoke(t *testing.T) {
	a, _ := authority(t)
	r := a.Registry()
	alice1, bob := issue(t, a, "alice", year), issue(t, a, "bob", year)
	issue(t, a, "alice", year)
	issue(t, a, "carol", year)

	if revoked, err := r.Revoke("0:" + strings.ToUpper(alice1.Serial)); err != nil || len(revoked) != 1 || revoked[0].Serial != alice1.Serial {
		t.Errorf("by serial: %+v, %v", revoked, err)
	}
	if revoked, err := r.Revoke("alice"); err != nil || len(revoked) != 1 || revoked[0].Serial == alice1.Serial {
		t.Errorf("by name, one of two is revoked already: %+v, %v", revoked, err)
	}
	if revoked, err := r.Revoke("DE:AD:BE:EF"); err != nil || len(revoked) != 1 || revoked[0].Serial != "deadbeef" || revoked[0].Name != "" {
		t.Errorf("of another CA: %+v, %v", revoked, err)
	}
	for _, unknown := range []string{"nobody", "alice", alice1.Serial, "deadbeef", "abc", "", strings.Repeat("f", 41)} {
		if revoked, err := r.Revoke(unknown); !errors.Is(err, access.ErrNoCredential) || revoked != nil {
			t.Errorf("Revoke(%q) = %+v, %v; want ErrNoCredential", unknown, revoked, err)
		}
	}
	if got, want := states(t, a), []string{"alice revoked", "bob valid", "alice revoked", "carol valid", " revoked"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if entries, _ := r.Entries(); entries[1].State(bob.NotAfter.Add(time.Second)) != "expired" {
		t.Error("bob does not expire")
	}
}

func TestBrokenRegistry(t *testing.T) {
	for _, tt := range []struct{ name, content, want string }{
		{"empty", "", "no list of credentials"},
		{"cut", `[{"serial":"ab","revoked":"2026-01-02T03:04:05Z"}`, "no list of credentials"},
		{"null", "null", "no list of credentials"},
		{"no list", `{"serial":"ab"}`, "no list of credentials"},
		{"something behind it", `[] []`, "something behind it"},
		{"unknown key", `[{"serial":"ab","revokd":"2026-01-02T03:04:05Z"}]`, "revokd"},
		{"no time", `[{"serial":"ab","revoked":"yesterday"}]`, "no list of credentials"},
		{"zeros, as after a power cut", "\x00\x00\x00", "no list of credentials"},
	} {
		a, dir := authority(t)
		path := filepath.Join(dir, "credentials.json")
		if err := os.WriteFile(path, []byte(tt.content), 0o600); err != nil {
			t.Fatal(err)
		}
		_, errEntries := a.Registry().Entries()
		_, errGate := access.NewGate(a.Registry(), trusting(t, a), nil)
		_, _, errIssue := a.Issue(access.Order{Name: "x", Planes: access.User, Life: year})
		_, errRevoke := a.Registry().Revoke("deadbeef")
		for _, err := range []error{errEntries, errGate, errIssue, errRevoke} {
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "restore it") {
				t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
			}
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != tt.content {
			t.Errorf("%s: the broken file was changed: %q, %v", tt.name, got, err)
		}
	}
}

func TestMissingRegistry(t *testing.T) {
	a, dir := authority(t)
	if err := os.Remove(filepath.Join(dir, "credentials.json")); err != nil {
		t.Fatal(err)
	}
	if _, err := access.NewGate(a.Registry(), trusting(t, a), nil); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "write [] into it") {
		t.Errorf("%v, want what to do about it", err)
	}
}

// TestEditedSerial: people write serial numbers as other programs show them.
func TestEditedSerial(t *testing.T) {
	a, dir := authority(t)
	if err := os.WriteFile(filepath.Join(dir, "credentials.json"), []byte(`[{"serial":"0A:BC","revoked":"2026-01-02T03:04:05Z"}]`), 0o600); err != nil {
		t.Fatal(err)
	}
	gate, err := access.NewGate(a.Registry(), trusting(t, a), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := gate.Check(&access.Credential{Serial: "abc", NotAfter: time.Now().Add(year)}); !errors.Is(err, access.ErrRevoked) {
		t.Errorf("%v, want revoked", err)
	}
}

const childDir = "ACCESS_TEST_ISSUE_IN"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		a, err := access.OpenAuthority(dir)
		for i := 0; i < 10 && err == nil; i++ {
			_, _, err = a.Issue(access.Order{Name: fmt.Sprint("child", os.Getpid()), Planes: access.User, Life: year})
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// TestConcurrentUpdates: no entry of several processes and goroutines is lost,
// a reader sees whole registries only, and nothing is left lying around.
func TestConcurrentUpdates(t *testing.T) {
	a, dir := authority(t)
	var work sync.WaitGroup
	for range 3 {
		work.Go(func() {
			cmd := exec.CommandContext(t.Context(), os.Args[0])
			cmd.Env = append(os.Environ(), childDir+"="+dir)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
	for i := range 4 {
		work.Go(func() {
			for n := range 5 {
				if _, err := a.Registry().Revoke(fmt.Sprintf("%08x", i<<8|n|1<<30)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	ctx, stop := context.WithCancel(t.Context())
	var reader sync.WaitGroup
	reader.Go(func() {
		for last := 0; ctx.Err() == nil; {
			entries, err := a.Registry().Entries()
			if err != nil || len(entries) < last {
				t.Errorf("%d entries after %d, %v", len(entries), last, err)
				return
			}
			last = len(entries)
		}
	})
	work.Wait()
	stop()
	reader.Wait()
	if got := len(states(t, a)); got != 3*10+4*5 {
		t.Errorf("%d entries, want 50", got)
	}
	files, err := filepath.Glob(filepath.Join(dir, ".*"))
	if err != nil || len(files) > 0 {
		t.Errorf("left over: %v, %v", files, err)
	}
	if info, err := os.Stat(filepath.Join(dir, "credentials.json")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v; want mode 0600", info.Mode(), err)
	}
}
