package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/cloud-of-se/tses/drivers"
	"github.com/cloud-of-se/tses/drivers/driverstest"
)

// TestMain lets the test's own program be the appliance, with test cards among
// its drivers.
func TestMain(m *testing.M) {
	// A program with the race detector sleeps for a second before it exits.
	if os.Getenv("GORACE") == "" {
		os.Setenv("GORACE", "atexit_sleep_ms=0")
	}
	openers["scripted"] = func(_ string, e elementConfig, _ *slog.Logger) (drivers.SE, io.Closer, error) {
		return driverstest.NewScripted(driverstest.Options{Name: e.SEID}), closers(nil), nil
	}
	testscript.Main(m, map[string]func(){"appliance": main})
}

// bound is how long anything here may take. It is no measure of anything.
const bound = 30 * time.Second

// tses is a TSES in a process of its own.
type tses struct {
	addr  string
	state string
	log   *logBuffer
	cmd   *exec.Cmd
	ended chan error
}

// startTSES runs the appliance until it is ready.
func startTSES(state string, args ...string) (*tses, error) {
	s := &tses{state: state, log: &logBuffer{}, ended: make(chan error, 1)}
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	s.cmd = &exec.Cmd{Path: program, Args: append([]string{"appliance", "-state", state, "-listen", "127.0.0.1:0"}, args...), Stderr: s.log, Stdout: s.log}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { s.ended <- s.cmd.Wait() }()
	line, err := s.log.await(regexp.MustCompile(`(?m)^RACS ready on (\S+)$`), bound)
	if err != nil {
		return nil, errors.Join(err, s.stop(syscall.SIGKILL))
	}
	s.addr = line[1]
	return s, nil
}

// stop sends a signal and waits for the end of the process.
func (s *tses) stop(sig os.Signal) error {
	if err := s.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case err := <-s.ended:
		s.ended <- err
		return err
	case <-time.After(bound):
		return errors.Join(fmt.Errorf("it does not end after %v:\n%s", sig, s.log), s.cmd.Process.Kill())
	}
}

func serveTSES(t *testing.T, args ...string) *tses {
	t.Helper()
	s, err := startTSES(filepath.Join(t.TempDir(), "state"), args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.stop(syscall.SIGTERM); err != nil {
			t.Errorf("%v\n%s", err, s.log)
		}
	})
	return s
}

// logBuffer is what a program wrote, for other goroutines to read.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// await waits until a line of the log matches.
func (l *logBuffer) await(pattern *regexp.Regexp, patience time.Duration) ([]string, error) {
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		if m := pattern.FindStringSubmatch(l.String()); m != nil {
			return m, nil
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("nothing matches %s in:\n%s", pattern, l)
		}
	}
}

// runOnce runs the program in this process; what serves is stopped at once.
func runOnce(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	status = run(ctx, args, &out, &errs)
	return status, out.String(), errs.String()
}

func TestScripts(t *testing.T) {
	var mu sync.Mutex
	running := make(map[string]*tses) // by the script's directory
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("GORACE", os.Getenv("GORACE"))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			// tses start [ARGS] runs the TSES in state, tses stop ends it by
			// SIGTERM and leaves its log in the file log.
			"tses": func(ts *testscript.TestScript, neg bool, args []string) {
				mu.Lock()
				defer mu.Unlock()
				if len(args) == 0 || neg {
					ts.Fatalf("usage: tses start [args] | stop")
				}
				switch dir := ts.MkAbs("."); args[0] {
				case "start":
					config := args[1:]
					for i, arg := range config {
						if strings.HasSuffix(arg, ".toml") {
							config[i] = ts.MkAbs(arg)
						}
					}
					s, err := startTSES(ts.MkAbs("state"), config...)
					ts.Check(err)
					ts.Defer(func() { _ = s.stop(syscall.SIGKILL) }) // it has ended if the script stopped it
					ts.Setenv("ADDR", s.addr)
					running[dir] = s
				case "stop":
					ts.Check(running[dir].stop(syscall.SIGTERM))
					ts.Check(os.WriteFile(ts.MkAbs("log"), []byte(running[dir].log.String()), 0o600))
				}
			},
			// mode MODE FILE... checks permissions.
			"mode": func(ts *testscript.TestScript, neg bool, args []string) {
				want, err := strconv.ParseUint(args[0], 8, 32)
				ts.Check(err)
				for _, file := range args[1:] {
					info, err := os.Stat(ts.MkAbs(file))
					ts.Check(err)
					if got := info.Mode().Perm(); (got == os.FileMode(want)) == neg {
						ts.Fatalf("%s has mode %04o", file, got)
					}
				}
			},
		},
	})
}

// TestEveryKeyIsExplained: the package comment is the manual.
func TestEveryKeyIsExplained(t *testing.T) {
	manual, err := os.ReadFile("main.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range slices.Sorted(maps.Keys(openers)) {
		if name != "scripted" && !strings.Contains(string(manual), `"`+name+`"`) {
			t.Errorf("driver %s is not in the manual", name)
		}
	}
}
