//go:build linux

package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// serveUnread starts a TSES whose log goes into a pipe, which is read up to the
// line that says that it is ready and no further.
func serveUnread(t *testing.T) (s *tses, read, write *os.File) {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if read, write, err = os.Pipe(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { read.Close(); write.Close() })
	s = &tses{state: filepath.Join(t.TempDir(), "state"), log: new(logBuffer), ended: make(chan error, 1)}
	s.cmd = &exec.Cmd{Path: program, Args: []string{"appliance", "-state", s.state, "-listen", "127.0.0.1:0"}, Stderr: write}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { s.ended <- s.cmd.Wait() }()
	t.Cleanup(func() { _ = s.stop(syscall.SIGKILL) }) // it has ended where the test is well
	if err := read.SetReadDeadline(time.Now().Add(bound)); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(read); lines.Scan(); {
		fmt.Fprintln(s.log, lines.Text())
		if addr, ok := strings.CutPrefix(lines.Text(), "RACS ready on "); ok {
			s.addr = addr
			return s, read, write
		}
	}
	t.Fatalf("it is not ready:\n%s", s.log)
	return nil, nil, nil
}

// fill leaves no room in a pipe.
func fill(t *testing.T, w *os.File) {
	t.Helper()
	fd := int(w.Fd())
	if err := unix.SetNonblock(fd, true); err != nil {
		t.Fatal(err)
	}
	var err error
	for _, size := range []int{4096, 1} {
		for block := make([]byte, size); err == nil; {
			_, err = unix.Write(fd, block)
		}
		if !errors.Is(err, unix.EAGAIN) {
			t.Fatal(err)
		}
		err = nil
	}
	if err := unix.SetNonblock(fd, false); err != nil { // the TSES has the same one, and is to wait
		t.Fatal(err)
	}
}

// work is what users do, and each of them has lines in the log.
func (s *tses) work(t *testing.T) {
	t.Helper()
	const users = 5
	for range users {
		c := s.mustOpen(t, "user")
		c.want(t, "+008 001", "POWERON soft1")
		c.want(t, "-606 001", "APDU soft1 00A4040008A000000151000000")
		c.want(t, "+007 001", "SHUTDOWN soft1")
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A log that nobody reads holds neither sessions nor the end of the TSES.
func TestNobodyReadsTheLog(t *testing.T) {
	s, _, write := serveUnread(t)
	fill(t, write)
	s.work(t)
	began := time.Now()
	if err := s.stop(syscall.SIGTERM); err != nil {
		t.Errorf("SIGTERM: %v", err)
	}
	if took := time.Since(began); took > bound/2 {
		t.Errorf("it ends after %v", took)
	}
}

// The end of who reads the log is not that of the TSES.
func TestReaderOfTheLogEnds(t *testing.T) {
	s, read, write := serveUnread(t)
	if err := errors.Join(read.Close(), write.Close()); err != nil {
		t.Fatal(err)
	}
	s.work(t)
	if err := s.stop(syscall.SIGTERM); err != nil {
		t.Errorf("SIGTERM: %v", err)
	}
}
