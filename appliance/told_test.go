package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A user is told that an SE is out of service, and not where its state is; who
// administers the TSES, and the log, are.
func TestUsersAreToldNoPaths(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state")
	first, err := startTSES(state)
	if err != nil {
		t.Fatal(err)
	}
	if err := first.stop(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(state, "elements", "soft2.state")
	if err := errors.Join(os.Remove(file), os.Mkdir(file, 0o700)); err != nil {
		t.Fatal(err)
	}
	s, err := startTSES(state)
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.mustOpen(t, "user").ask("POWERON soft2")
	if err != nil || !strings.HasPrefix(got, "-808 001 soft2: power on: ") || strings.Contains(got, "/") {
		t.Errorf("a user is told %q, %v; want an error of the SE without a path", got, err)
	}
	got, err = s.mustOpen(t, "admin").ask("POWERON soft2")
	if err != nil || !strings.HasPrefix(got, "-808 001 soft2: power on: ") || !strings.Contains(got, file) {
		t.Errorf("an administrator is told %q, %v; want %s", got, err, file)
	}
	if err := s.stop(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	if log := s.log.String(); !strings.Contains(log, `msg="not all of an error is told to the client" client=user`) || !strings.Contains(log, file) {
		t.Errorf("the log lacks it:\n%s", log)
	}
}
