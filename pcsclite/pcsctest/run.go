//go:build unix

package pcsctest

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cloud-of-se/tses/internal/needs"
)

// Target is what programs are run against.
type Target struct {
	Socket string // of a resource manager; empty is the system's own
	Reader string // the name of a reader with a card in it

	// Trace, where it is set, says at a failure what the card has seen last.
	Trace func() string
}

// trace is what Trace says.
func (g Target) trace() string {
	if g.Trace == nil {
		return ""
	}
	return "\nthe card has seen:\n" + g.Trace()
}

// Need finds a program, or ends the test: skipped, or failed where
// TSES_TEST_ALL=1 asks for everything.
func Need(t testing.TB, program, from string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		Missing(t, program+" (Debian package "+from+")")
	}
	return path
}

// Missing ends a test that cannot be run here.
func Missing(t testing.TB, what string) {
	t.Helper()
	needs.Missing(t, "missing: "+what)
}

// Command is a program on the target's socket, in a home of its own, ended
// after the bound with all that it started.
func (g Target) Command(t testing.TB, bound time.Duration, program string, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), bound)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, program, args...)
	home := t.TempDir()
	cmd.Env = append(os.Environ(), "HOME="+home, "XDG_CACHE_HOME="+home, "LC_ALL=C")
	if g.Socket != "" {
		cmd.Env = append(cmd.Env, "PCSCLITE_CSOCK_NAME="+g.Socket)
	}
	cmd.Dir = home
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error {
		err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // its own group alone
		if errors.Is(err, syscall.ESRCH) {
			return os.ErrProcessDone
		}
		return err
	}
	cmd.WaitDelay = 2 * time.Second
	return cmd
}

// Run runs a program to its end and returns what it wrote to both outputs.
func (g Target) Run(t testing.TB, bound time.Duration, stdin, program string, args ...string) (string, error) {
	t.Helper()
	cmd := g.Command(t, bound, program, args...)
	cmd.Stdin = strings.NewReader(stdin)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}

// bound is for one run of a program that is expected to end.
const bound = 30 * time.Second

// want runs a program that has to do well and to write all of the texts.
func (g Target) want(t testing.TB, texts []string, stdin, program string, args ...string) string {
	t.Helper()
	out, err := g.Run(t, bound, stdin, program, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", program, strings.Join(args, " "), err, out, g.trace())
	}
	contains(t, out, texts)
	return out
}

func contains(t testing.TB, out string, texts []string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(out, text) {
			t.Fatalf("no %q in:\n%s", text, out)
		}
	}
}
