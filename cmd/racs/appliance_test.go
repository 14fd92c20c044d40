package main

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/cloud-of-se/tses/stp/racs"
)

// TestAppliance runs scripts against a TSES as "go run ./appliance" starts it.
func TestAppliance(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and starts the appliance")
	}
	binary := filepath.Join(t.TempDir(), "appliance")
	if out, err := exec.Command("go", "build", "-o", binary, "../../appliance").CombinedOutput(); err != nil {
		t.Fatalf("build the appliance: %v\n%s", err, out)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/appliance",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		// Each script has a TSES of its own: they run side by side, and an SE
		// that one holds is in use for the others.
		Setup: func(env *testscript.Env) error {
			state := filepath.Join(env.WorkDir, "state")
			address := startAppliance(t, binary, state)
			env.Setenv("APPLIANCE", binary)
			env.Setenv("STATE", state)
			env.Setenv("GORACE", raceOptions)
			env.Setenv("RACS_SERVER", address)
			env.Setenv("RACS_CA", filepath.Join(state, "ca.pem"))
			env.Setenv("RACS_CRED", filepath.Join(state, "credentials", "user.pem"))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"status": checkStatus, "refused": waitRefused, "hold": holdSE,
		},
	})
}

// startAppliance starts the TSES on a port of its choice and ends it with the
// test.
func startAppliance(t *testing.T, binary, state string) (address string) {
	t.Helper()
	cmd := exec.Command(binary, "-state", state, "-listen", "127.0.0.1:0")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ready := make(chan string, 1)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			if addr, ok := strings.CutPrefix(lines.Text(), "RACS ready on "); ok {
				ready <- addr
			}
		}
	}()
	t.Cleanup(func() {
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Errorf("end the appliance: %v", err)
		}
		<-ended
		if err := cmd.Wait(); err != nil {
			t.Errorf("the appliance ended with %v", err)
		}
	})
	select {
	case address = <-ready:
	case <-ended:
		t.Fatal("the appliance ended before it was ready")
	case <-time.After(20 * time.Second):
		t.Fatal("the appliance is not ready after 20 s")
	}
	return address
}

// waitRefused runs racs until it is not let in. A revocation has a second to
// take effect.
func waitRefused(ts *testscript.TestScript, neg bool, args []string) {
	deadline := time.Now().Add(3 * time.Second)
	for {
		got := exitCode(ts.Exec(args[0], args[1:]...))
		if got == "3" {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("exit status %s, want 3", got)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// holdSE takes an SE for the rest of the script.
func holdSE(ts *testscript.TestScript, neg bool, args []string) {
	cas, err := racs.LoadCA(ts.Getenv("RACS_CA"))
	ts.Check(err)
	credential, err := racs.LoadCredential(ts.Getenv("RACS_CRED"))
	ts.Check(err)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	client, err := racs.Dial(ctx, ts.Getenv("RACS_SERVER"), racs.ClientConfig(cas, credential, ""), racs.Options{})
	ts.Check(err)
	ts.Defer(func() { ts.Check(client.Close()) })
	_, err = client.PowerOn(ctx, args[0])
	ts.Check(err)
}
