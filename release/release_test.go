package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// One program is built as all are: it says the version that it was given.
func TestBuild(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: it links a program")
	}
	r := &release{dir: t.TempDir(), version: "v7.8.9", progress: t.Output()}
	own := target{"racs", "./cmd/racs", runtime.GOOS, runtime.GOARCH}
	if err := r.build(t.Context(), "..", own); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), filepath.Join(r.dir, own.file()), "version").CombinedOutput()
	if want := "racs v7.8.9 (go1."; err != nil || !strings.HasPrefix(string(out), want) {
		t.Errorf("%v: %s, want %q", err, out, want)
	}
}

// What people are promised is built, under names that do not collide.
func TestTargets(t *testing.T) {
	var names []string
	for _, t := range targets() {
		names = append(names, t.file())
	}
	for _, want := range []string{"racs-linux-amd64", "racs-linux-arm64", "racs-linux-arm", "racs-darwin-arm64", "racs-windows-amd64.exe", "tses-linux-arm", "tses-linux-arm64", "tses-linux-amd64"} {
		if !slices.Contains(names, want) {
			t.Errorf("%s is not built: %q", want, names)
		}
	}
	slices.Sort(names)
	if len(slices.Compact(slices.Clone(names))) != len(names) {
		t.Errorf("one replaces another: %q", names)
	}
}

func TestSums(t *testing.T) {
	r := staged(t)
	if err := r.sums([]string{"tses-linux-arm"}); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(r.dir, "SHA256SUMS"))
	if err != nil || len(got) != 64+2+len("tses-linux-arm\n") || !strings.HasSuffix(string(got), "  tses-linux-arm\n") {
		t.Errorf("%v: %q", err, got)
	}
}

func TestRefusals(t *testing.T) {
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "mine"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args   []string
		status int
		want   string
	}{
		{[]string{"all"}, exitUsage, "usage: go run ./release"},
		{[]string{"-version", "a b", "-o", full}, exitFailed, `-version "a b": want letters`},
		{[]string{"-version", "v1", "-o", full}, exitFailed, "is not empty; remove it"},
	} {
		var out, said strings.Builder
		if status := run(t.Context(), tt.args, &out, &said); status != tt.status || !strings.Contains(said.String(), tt.want) || out.Len() > 0 {
			t.Errorf("run(%q) = %d, %q %q, want %d and %q", tt.args, status, out.String(), said.String(), tt.status, tt.want)
		}
	}
}
