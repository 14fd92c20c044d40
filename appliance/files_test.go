package main

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cloud-of-se/tses/access"
	"github.com/cloud-of-se/tses/internal/statefile"
	"github.com/cloud-of-se/tses/internal/statefile/statefiletest"
)

// The files that a start reads or writes, and which kinds of things each takes
// besides a file that is as it should be.
var startFiles = []struct {
	name  string
	takes []string // kinds
	se    bool     // without it a software SE is out of service, and the others serve
}{
	{"state/ca.pem", []string{"readable"}, false},
	{"state/ca.key", nil, false},
	{"state/server.pem", nil, false},
	{"state/credentials.json", nil, false},
	{"state/lock", []string{"3 GB of holes"}, false}, // nothing is read of it
	{"state/state.key", nil, true},
	{"state/state.key.lock", []string{"3 GB of holes"}, true},
	{"state/elements/soft1.state", []string{"readable", "writable"}, true}, // it is sealed
	{"state/elements/ledger", []string{"readable", "writable"}, true},
	{"state/elements/ledger.lock", []string{"3 GB of holes"}, true},
	{"tses.toml", []string{"readable", "another's", "symbolic link"}, false},
	{"partner.pem", []string{"readable", "another's", "symbolic link"}, false},
}

// TestStartKinds starts the TSES with each of its files replaced by what is none:
// it does not wait, takes none of them, and names the file.
func TestStartKinds(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	if err := os.Mkdir(at("partner"), 0o700); err != nil {
		t.Fatal(err)
	}
	text := "[[access.trust]]\nfile = \"partner.pem\"\n[[element]]\nseid = \"soft1\"\ndriver = \"softse\"\n"
	if err := os.WriteFile(at("tses.toml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	start := []string{"-config", at("tses.toml"), "-state", at("state"), "-listen", "127.0.0.1:0"}
	if status, _, said := runOnce(t, "-state", at("state"), "-listen", "127.0.0.1:0"); status != exitOK {
		t.Fatal(said)
	}
	if _, err := access.CreateAuthority(at("partner")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(at("partner/ca.pem"), at("partner.pem")); err != nil {
		t.Fatal(err)
	}
	if status, _, said := runOnce(t, start...); status != exitOK {
		t.Fatal(said)
	}
	for _, file := range startFiles {
		for _, kind := range statefiletest.Kinds() {
			t.Run(file.name+"/"+kind.Name, func(t *testing.T) {
				defer kind.Put(t, at(file.name))()
				status, said := runWithin(t, start...)
				lock := strings.HasSuffix(file.name, "lock")
				takes := slices.Contains(file.takes, kind.Name) || kind.Name == "hard link" && !lock
				switch served := strings.Contains(said, "RACS ready on"); {
				case takes:
					if status != exitOK || !served || strings.Contains(said, "out of service") {
						t.Errorf("status %d:\n%s", status, said)
					}
				case file.se:
					if status != exitOK || !served || !strings.Contains(said, "out of service") {
						t.Errorf("status %d, want 0 and one out of service:\n%s", status, said)
					}
				case status != exitFailed || served:
					t.Errorf("status %d, want %d:\n%s", status, exitFailed, said)
				}
				name := at(file.name)
				if file.se && kind.Err == statefile.ErrSize { // the vault knows its files by their SEs
					name = strings.TrimSuffix(filepath.Base(name), ".state")
				}
				if !takes && !strings.Contains(said, name) {
					t.Errorf("%s is not named:\n%s", name, said)
				}
			})
		}
	}
}

// runWithin is runOnce for what may wait.
func runWithin(t *testing.T, args ...string) (status int, said string) {
	t.Helper()
	type result struct {
		status int
		said   string
	}
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	defer cancel()
	done := make(chan result, 1)
	go func() {
		status, _, said := runOnce(t, args...)
		done <- result{status, said}
	}()
	select {
	case r := <-done:
		return r.status, r.said
	case <-ctx.Done():
		t.Fatalf("appliance %s: it waits", strings.Join(args, " "))
		return 0, ""
	}
}
