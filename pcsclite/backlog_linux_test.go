package pcsclite

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// A resource manager that is slow to take its programs is waited for, as long as
// the context says.
func TestFullBacklog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pcscd.comm")
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	must(t, err)
	must(t, syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}))
	must(t, syscall.Listen(fd, 0)) // room for one
	waits, err := net.Dial("unix", path)
	must(t, err)
	defer waits.Close()
	if _, err := net.Dial("unix", path); !errors.Is(err, syscall.EAGAIN) {
		t.Fatalf("the backlog is not full: %v", err)
	}

	ctx, cancel := context.WithTimeout(within(t), 20*time.Millisecond)
	defer cancel()
	if _, err := Dial(ctx, path); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("it gives up with %v, want %v", err, context.DeadlineExceeded)
	}

	type result struct {
		c   *Client
		err error
	}
	done := make(chan result, 1)
	go func() { c, err := Dial(within(t), path); done <- result{c, err} }()
	s := newServer(Options{})
	file := os.NewFile(uintptr(fd), path)
	ln, err := net.FileListener(file)
	must(t, errors.Join(err, file.Close()))
	s.ln = ln
	serving, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- s.Serve(serving) }()
	got := <-done
	must(t, got.err)
	must(t, got.c.Close())
	stop()
	must(t, <-served)
}
