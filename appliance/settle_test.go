//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cloud-of-se/tses/gokrazy/sdcard"
	"github.com/cloud-of-se/tses/internal/needs"
)

// Who breaks into a TSES that serves can listen on nothing: both filters of
// system calls are in force by then.
func TestSettled(t *testing.T) {
	if os.Getuid() != 0 {
		needs.Missing(t, "needs root, which is what it gives up")
	}
	top := t.TempDir()
	state, clock := filepath.Join(top, "state"), filepath.Join(top, "run", "clock")
	if err := os.Mkdir(state, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(state, sdcard.UID, sdcard.UID); err != nil {
		t.Fatal(err)
	}
	if err := sdcard.WriteClock(clock, sdcard.Clock{State: sdcard.ClockSet}); err != nil {
		t.Fatal(err)
	}
	before := filters(t, "self")
	s, _ := startConfined(t, top, state, clock)
	if got := filters(t, fmt.Sprint(s.cmd.Process.Pid)); got != before+2 {
		t.Errorf("%d filters of system calls, want 2\n%s", got-before, s.log)
	}
	if _, err := s.mustOpen(t, "user").ask("LIST"); err != nil {
		t.Errorf("LIST: %v", err)
	}
}

func filters(t *testing.T, pid string) (n int) {
	t.Helper()
	status, err := os.ReadFile("/proc/" + pid + "/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if _, err := fmt.Sscanf(line, "Seccomp_filters: %d", &n); err == nil {
			return n
		}
	}
	t.Fatalf("no number of filters in\n%s", status)
	return 0
}
