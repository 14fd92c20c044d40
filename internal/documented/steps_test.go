package documented

import (
	"bufio"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// The README's lines do what it says, in its order, in a directory where nothing
// is yet. What needs another program, a box or a browser is tested elsewhere.
func TestFirstSteps(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: it links programs")
	}
	bin, dir := t.TempDir(), t.TempDir()
	if err := builds(t.Context(), "go build ./appliance ./cmd/racs", bin); err != nil {
		t.Fatal(err)
	}
	addr := serve(t, bin, dir)
	script := "set -eu\n"
	for _, l := range steps(t) {
		l = strings.ReplaceAll(l, "go run ./appliance", bin+"/appliance")
		l = strings.ReplaceAll(l, "go run ./cmd/racs", bin+"/racs")
		script += strings.ReplaceAll(l, "127.0.0.1:7777", addr) + "\n"
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-c", script)
	cmd.Dir = dir
	said, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, script, said)
	}
	for _, want := range []string{"soft1\nsoft2\n", "9000\n", "alice.pem: alice, plane user", "revoked "} {
		if !strings.Contains(string(said), want) {
			t.Errorf("%q is not said:\n%s\n%s", want, script, said)
		}
	}
}

// tried are the lines of the README that run here: of the program ./appliance
// those that end, of racs those that need nothing else.
var tried = regexp.MustCompile(`^    (export RACS_SERVER=127.*|go run ./appliance [a-z].*|go run ./cmd/racs (?:list|apdu|doctor|version).*)`)

func steps(t *testing.T) (lines []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for l := range strings.Lines(string(text)) {
		if m := tried.FindStringSubmatch(strings.TrimRight(l, "\n")); m != nil && !strings.Contains(strings.Join(lines, "\n"), m[1]) {
			lines = append(lines, m[1])
		}
	}
	if len(lines) < 6 {
		t.Fatalf("the README has only %q", lines)
	}
	return lines
}

var ready = regexp.MustCompile(`^RACS ready on (\S+)$`)

// serve starts the TSES in dir with the state that it takes by itself, and
// returns its address.
func serve(t *testing.T, bin, dir string) string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "appliance"), "-listen", "127.0.0.1:0")
	cmd.Dir = dir
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	read := make(chan struct{})
	found := make(chan string, 1)
	go func() { // ends with the program
		defer close(read)
		for lines := bufio.NewScanner(log); lines.Scan(); {
			if m := ready.FindStringSubmatch(lines.Text()); m != nil {
				found <- m[1]
				break
			}
		}
		_, _ = io.Copy(io.Discard, log) // its end is the program's
	}()
	t.Cleanup(func() {
		cancel()
		<-read
		_ = cmd.Wait() // it was told to end
	})
	select {
	case addr := <-found:
		return addr
	case <-read:
		t.Fatal("the TSES has ended")
	}
	return ""
}
