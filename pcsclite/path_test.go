package pcsclite

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
)

// A chosen path is taken over from a server that is gone, and from no other.
func TestPath(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "s")
	stale, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	stale.(*net.UnixListener).SetUnlinkOnClose(false)
	stale.Close()
	first, err := Listen(Options{Path: path})
	if err != nil || first.Path() != path {
		t.Fatalf("a stale socket: %v", err)
	}
	if _, err := Listen(Options{Path: path}); !errors.Is(err, ErrServed) {
		t.Errorf("a living one: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is left: %v", err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(Options{Path: path}); err == nil {
		t.Error("a file is taken over")
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(Options{Path: filepath.Join(dir, "t")}); err == nil {
		t.Error("a directory that others see is taken")
	}
}
