package main

import (
	"context"
	"os"
	"os/signal"
	"path/filepath"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain lets the test binary be racs for the scripts. RACS_TEST_NOW sets
// its clock, which the program itself has no setting for.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"racs": func() {
			ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
			p := &program{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, now: time.Now}
			if text := os.Getenv("RACS_TEST_NOW"); text != "" {
				now, err := time.Parse(time.DateOnly, text)
				if err != nil {
					panic(err)
				}
				p.now = func() time.Time { return now }
			}
			status := p.run(ctx, os.Args[1:], os.Getenv)
			stop()
			os.Exit(status)
		},
	})
}

// raceOptions keeps a racs that is built with the race detector from lingering
// for a second at its end.
const raceOptions = "atexit_sleep_ms=0"

// TestScripts runs every script against servers that the test plays. A script
// finds their addresses in the environment and the files in its directory.
func TestScripts(t *testing.T) {
	world := newWorld(t)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			for name, content := range world.files {
				if err := os.WriteFile(filepath.Join(env.WorkDir, name), content, 0o600); err != nil {
					return err
				}
			}
			for name, value := range world.addresses {
				env.Setenv(name, value)
			}
			env.Setenv("GORACE", raceOptions)
			env.Setenv("RACS_CA", "ca.pem")
			env.Setenv("RACS_CRED", "user.pem")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"status":    checkStatus,
			"interrupt": interrupt,
		},
	})
}

// checkStatus runs racs and compares its exit status: status 3 racs list.
func checkStatus(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status N program args...")
	}
	err := ts.Exec(args[1], args[2:]...)
	if got := exitCode(err); got != args[0] {
		ts.Fatalf("exit status %s, want %s (%v)", got, args[0], err)
	}
}

// interrupt sends a signal to every program that runs in the background, when
// it has had the time to be busy, on a loaded machine too.
func interrupt(ts *testscript.TestScript, neg bool, args []string) {
	time.Sleep(2 * time.Second) // the program has no other sign of being busy
	for _, cmd := range ts.BackgroundCmds() {
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			ts.Fatalf("interrupt: %v", err)
		}
	}
}
