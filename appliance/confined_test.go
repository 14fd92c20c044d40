//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cloud-of-se/tses/gokrazy/sdcard"
	"github.com/cloud-of-se/tses/internal/needs"
)

// TestConfined runs the appliance as an SD card does: without root, in its
// cage, with a supervisor and a clock that is not set.
func TestConfined(t *testing.T) {
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
	if err := sdcard.WriteClock(clock, sdcard.Clock{State: sdcard.ClockFloor}); err != nil {
		t.Fatal(err)
	}
	s, beats := startConfined(t, top, state, clock)
	c := s.mustOpen(t, "user")
	if _, err := c.ask("LIST"); err != nil {
		t.Errorf("LIST: %v", err)
	}
	if _, err := s.log.await(regexp.MustCompile(`the clock is not set: of the dates`), bound); err != nil {
		t.Error(err)
	}
	if err := sdcard.WriteClock(clock, sdcard.Clock{State: sdcard.ClockSet}); err != nil {
		t.Fatal(err)
	}
	s.mustOpen(t, "user")
	if _, err := s.log.await(regexp.MustCompile(`the clock is set`), bound); err != nil {
		t.Error(err)
	}
	if err := beats.SetReadDeadline(time.Now().Add(bound)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := beats.Read(make([]byte, 1)); err != nil {
			t.Errorf("no heartbeat: %v\n%s", err, s.log)
		}
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		fmt.Sprintf("Uid:\t%[1]d\t%[1]d\t%[1]d\t%[1]d\n", sdcard.UID), "NoNewPrivs:\t1\n", "Seccomp:\t2\n",
		"CapEff:\t0000000000000000\n", "CapBnd:\t0000000000000000\n",
	} {
		if !strings.Contains(string(status), want) {
			t.Errorf("want %q in\n%s", want, status)
		}
	}
	if got := s.log.String(); !strings.Contains(got, "msg=confined") || strings.Contains(got, "no TLS session") {
		t.Errorf("the log:\n%s", got)
	}
}

// startConfined starts a copy of this program that any user may execute, and
// returns the supervisor's end of its heartbeat.
func startConfined(t *testing.T, top, state, clock string) (*tses, *os.File) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	code, err := os.ReadFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(top, "appliance")
	if err := os.WriteFile(program, code, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{filepath.Dir(top), top} {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	s := &tses{state: state, log: &logBuffer{}, ended: make(chan error, 1)}
	args := []string{"appliance", "-state", state, "-listen", "127.0.0.1:0", "-confine", fmt.Sprint(sdcard.UID)}
	s.cmd = &exec.Cmd{Path: program, Args: args, Stderr: s.log, Stdout: s.log, ExtraFiles: []*os.File{w}}
	s.cmd.Env = append(os.Environ(), sdcard.HeartbeatEnv+"=3", sdcard.ClockEnv+"="+clock)
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	go func() { s.ended <- s.cmd.Wait() }()
	t.Cleanup(func() {
		if err := s.stop(syscall.SIGTERM); err != nil {
			t.Errorf("%v\n%s", err, s.log)
		}
	})
	line, err := s.log.await(regexp.MustCompile(`(?m)^RACS ready on (\S+)$`), bound)
	if err != nil {
		t.Fatal(err)
	}
	s.addr = line[1]
	return s, r
}

// TestConfinedHost confines a TSES on a host to the user that it is, whoever that
// may be: it serves, sees revocations, makes state, and tells its stacks when it
// crashes.
func TestConfinedHost(t *testing.T) {
	s := serveTSES(t, "-confine", "self")
	c := s.mustOpen(t, "user")
	for _, tt := range []struct{ line, want string }{
		{"LIST", "soft1"}, {"POWERON soft1", ""}, {"APDU soft1 00A4040005A000000308 APPEND", "9000"},
	} {
		if answer, err := c.ask(tt.line); err != nil || !strings.Contains(fmt.Sprint(answer), tt.want) {
			t.Errorf("%s: %v, %v; want %q", tt.line, answer, err, tt.want)
		}
	}
	if got := s.log.String(); !strings.Contains(got, `msg=confined by="system calls (seccomp)"`) || strings.Contains(got, "no capabilities but") {
		t.Errorf("the log:\n%s", got)
	}
}

// raced says that the race detector is at work, which now and then ends a program
// that Go lets crash by a signal of its own, behind the stacks.
var raced bool

// TestConfinedCrash: what Go says of a crash comes out, and the process ends.
func TestConfinedCrash(t *testing.T) {
	s, err := startTSES(filepath.Join(t.TempDir(), "state"), "-confine", "self")
	if err != nil {
		t.Fatal(err)
	}
	err = s.stop(syscall.SIGQUIT)
	if exit := new(exec.ExitError); !errors.As(err, &exit) || exit.ExitCode() != 2 && !raced {
		t.Errorf("it ends with %v, want status 2", err)
	}
	if got := s.log.String(); !strings.Contains(got, "SIGQUIT") || !strings.Contains(got, "goroutine ") {
		t.Errorf("no stacks:\n%s", got)
	}
}

// What -confine cannot do is said, and nothing goes on as before.
func TestConfineRefuses(t *testing.T) {
	for _, tt := range []struct{ listen, who, want string }{
		{"127.0.0.1:0", "0", "-confine wants self"},
		{"127.0.0.1:0", "nobody-of-that-name", "unknown user"},
		{"127.0.0.1:0", "root", "make a user for the TSES"},
		{"localhost:7777", "self", "needs an address"},
		{"127.0.0.1:racs", "self", "a port needs to be a number"},
	} {
		status, _, said := runOnce(t, "-state", filepath.Join(t.TempDir(), "state"), "-listen", tt.listen, "-confine", tt.who)
		if status != exitFailed || !strings.Contains(said, tt.want) {
			t.Errorf("-listen %s -confine %s: status %d, %q; want %q", tt.listen, tt.who, status, said, tt.want)
		}
	}
}
