package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestUsage(t *testing.T) {
	dir := t.TempDir()
	missing := filepath.Join(dir, "missing.toml")
	image, owner := filepath.Join(dir, "card.img"), filepath.Join(dir, "owner")
	for _, tt := range []struct {
		args   []string
		status int
		want   string
	}{
		{nil, exitUsage, "usage: go run ./gokrazy -o FILE"},
		{[]string{"-h"}, exitOK, "-owner"},
		{[]string{"-o", image, "card.img"}, exitUsage, "usage"},
		{[]string{"-o", image, "-older", missing}, exitUsage, "-replaces TIME"},
		{[]string{"-o", image, "-replaces", "2026-11-28T20:09:08Z"}, exitUsage, "-older FILE"},
		{[]string{"-o", image, "-older", missing, "-replaces", "2026-11-28T20:09:08Z", "-owner", owner}, exitFailed, "no CA here yet"},
		{[]string{"-size", "1"}, exitUsage, "-size"},
		{[]string{"-o", image, "-owner", owner, "-config", missing}, exitFailed, "missing.toml"},
		{[]string{"-o", image, "-owner", owner, "-board", "1a"}, exitFailed, "4b"},
		{[]string{"-o", image, "-owner", owner, "-name", "A_B"}, exitFailed, "box name"},
		{[]string{"-o", filepath.Join(dir, "none", "card.img"), "-owner", owner}, exitFailed, "none"},
	} {
		var out, said strings.Builder
		if status := run(t.Context(), tt.args, &out, &said); status != tt.status || !strings.Contains(said.String(), tt.want) || out.Len() > 0 {
			t.Errorf("run(%q) = %d, said %q and %q, want %d and %q", tt.args, status, said.String(), out.String(), tt.status, tt.want)
		}
	}
	if _, err := os.Stat(image); err == nil {
		t.Error("an image was made")
	}
}
