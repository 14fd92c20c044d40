package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cloud-of-se/tses/access"
	"github.com/cloud-of-se/tses/drivers"
	"github.com/cloud-of-se/tses/drivers/driverstest"
	"github.com/cloud-of-se/tses/pcsclite"
	"github.com/cloud-of-se/tses/stp/racs/server"
	"github.com/cloud-of-se/tses/stp/stptest"
)

// pcscWorld is a TSES with two SEs, and the settings that lead to it.
func pcscWorld(t *testing.T) (env func(string) string) {
	ts := stptest.Start(t, stptest.Options{Handler: &server.Server{}, SEs: map[string]drivers.SE{
		"one": driverstest.NewScripted(driverstest.Options{}), "two": driverstest.NewScripted(driverstest.Options{}),
	}})
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, certPEM(ts.Authority.Certificate()), 0o600); err != nil {
		t.Fatal(err)
	}
	values := map[string]string{"RACS_SERVER": ts.Addr, "RACS_CA": ca, "RACS_CRED": ts.CredentialFile("user", access.User)}
	return func(name string) string { return values[name] }
}

func TestPCSCRunsAProgram(t *testing.T) {
	env := pcscWorld(t)
	socket := `test -S "$PCSCLITE_CSOCK_NAME"`
	tests := []struct {
		name           string
		args           []string
		status         int
		stdout, stderr string
	}{
		{"its status is ours", []string{"--", "sh", "-c", socket + " && echo here; exit 7"}, 7, "here\n", ""},
		{"well", []string{"one", "--", "sh", "-c", socket}, 0, "", ""},
		{"flags behind --", []string{"--", "echo", "-server", "-as"}, 0, "-server -as\n", ""},
		{"standard input", []string{"--", "cat"}, 0, "typed", ""},
		{"killed", []string{"--", "sh", "-c", "kill -KILL $$"}, 137, "", ""},
		{"no such program", []string{"--", "no-such-program"}, 2, "", "no-such-program"},
		{"no such SE", []string{"three", "--", "true"}, 2, "", "the credential may use one, two"},
		{"one name twice", []string{"one=A", "two=A", "--", "true"}, 2, "", "there is a reader of this name"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			defer cancel()
			var stdout, stderr bytes.Buffer
			status := run(ctx, append([]string{"pcsc"}, tt.args...), env, strings.NewReader("typed"), &stdout, &stderr)
			if status != tt.status || stdout.String() != tt.stdout || !strings.Contains(stderr.String(), tt.stderr) {
				t.Errorf("status %d, want %d; stdout %q, want %q; stderr %q, want %q in it", status, tt.status, stdout.String(), tt.stdout, stderr.String(), tt.stderr)
			}
		})
	}
}

func TestPCSCStays(t *testing.T) {
	tests := []struct {
		args []string
		want []string
	}{
		{nil, []string{"one", "two"}},
		{[]string{"two"}, []string{"two"}},
		{[]string{"-as", "Smart Card"}, []string{"Smart Card one", "Smart Card two"}},
		{[]string{"one=Alpha", "two", "-as", "yubikey"}, []string{"Alpha", "Yubico YubiKey CCID two"}},
	}
	env := pcscWorld(t)
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.args), func(t *testing.T) {
			ctx, interrupt := context.WithTimeout(context.Background(), 20*time.Second)
			defer interrupt()
			out, stdout := io.Pipe()
			status := make(chan int, 1)
			go func() {
				status <- run(ctx, append([]string{"pcsc"}, tt.args...), env, nil, stdout, t.Output())
				stdout.Close()
			}()
			line, err := bufio.NewReader(out).ReadString('\n')
			if err != nil {
				t.Fatalf("no line: %v; status %d", err, <-status)
			}
			path, ok := strings.CutPrefix(strings.TrimSpace(line), "export PCSCLITE_CSOCK_NAME=")
			if !ok {
				t.Fatalf("it printed %q", line)
			}
			if got := readerNames(t, ctx, path); strings.Join(got, ";") != strings.Join(tt.want, ";") {
				t.Errorf("readers %q, want %q", got, tt.want)
			}
			interrupt()
			if got := <-status; got != 0 {
				t.Errorf("status %d, want 0", got)
			}
			if _, err := os.Stat(filepath.Dir(path)); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the directory of the socket is left: %v", err)
			}
		})
	}
}

func readerNames(t *testing.T, ctx context.Context, path string) []string {
	t.Helper()
	c, err := pcsclite.Dial(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	states, err := c.Readers(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range states {
		names = append(names, s.Name)
	}
	return names
}

func TestPCSCPassesAnInterruptOn(t *testing.T) {
	env := pcscWorld(t)
	ctx, interrupt := context.WithCancel(context.Background())
	defer interrupt()
	out, stdout := io.Pipe()
	status := make(chan int, 1)
	go func() {
		status <- run(ctx, []string{"pcsc", "--", "sh", "-c", `trap "echo told; exit 9" TERM; echo ready; while :; do sleep 0.02; done`}, env, nil, stdout, t.Output())
		stdout.Close()
	}()
	lines := bufio.NewScanner(out)
	if !lines.Scan() || lines.Text() != "ready" {
		t.Fatalf("it printed %q", lines.Text())
	}
	interrupt()
	if !lines.Scan() || lines.Text() != "told" {
		t.Errorf("the program was not told: %q", lines.Text())
	}
	if got := <-status; got != exitInterrupted {
		t.Errorf("status %d, want %d", got, exitInterrupted)
	}
}

func TestQuoted(t *testing.T) {
	for in, want := range map[string]string{"/run/user/0/pcsc-1/pcscd.comm": "/run/user/0/pcsc-1/pcscd.comm", "/a b/$x'y": `'/a b/$x'\''y'`} {
		if got := quoted(in); got != want {
			t.Errorf("quoted(%q) = %s, want %s", in, got, want)
		}
	}
}
