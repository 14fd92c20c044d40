package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// interactive runs "racs run" with a script that the test writes line by line.
func interactive(t *testing.T) (input io.WriteCloser, output *io.PipeReader, status <-chan int) {
	t.Helper()
	world, dir := newWorld(t), t.TempDir()
	for _, name := range []string{"ca.pem", "user.pem"} {
		if err := os.WriteFile(filepath.Join(dir, name), world.files[name], 0o600); err != nil {
			t.Fatal(err)
		}
	}
	env := func(name string) string {
		return map[string]string{
			"RACS_SERVER": world.addresses["RACS_SERVER"],
			"RACS_CA":     filepath.Join(dir, "ca.pem"),
			"RACS_CRED":   filepath.Join(dir, "user.pem"),
		}[name]
	}
	stdin, input := io.Pipe()
	output, stdout := io.Pipe()
	done := make(chan int, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	go func() {
		var stderr bytes.Buffer
		status := run(ctx, []string{"run"}, env, stdin, stdout, &stderr)
		stdout.CloseWithError(fmt.Errorf("racs ended: %q", stderr.String()))
		done <- status
	}()
	t.Cleanup(func() {
		cancel()
		input.Close()
		output.Close()
	})
	return input, output, done
}

func expect(t *testing.T, output io.Reader, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(output, got); err != nil || string(got) != want {
		t.Fatalf("got %q, %v, want %q", got[:n], err, want)
	}
}

func TestRunAnswersBeforeTheNextLineIsTyped(t *testing.T) {
	input, output, status := interactive(t)
	for _, word := range []string{"one", "two", "three"} {
		for _, line := range []string{"BEGIN " + word, "ECHO " + word, "END"} {
			if _, err := fmt.Fprintln(input, line); err != nil {
				t.Fatal(err)
			}
		}
		expect(t, output, fmt.Sprintf("BEGIN %s\r\n+009 001 %s\r\nEND\r\n", word, word))
	}
	input.Close()
	if got := <-status; got != exitWell {
		t.Errorf("exit status %d, want %d", got, exitWell)
	}
}

func TestRunEndsTheLastLine(t *testing.T) {
	input, output, status := interactive(t)
	if _, err := io.WriteString(input, "BEGIN\nECHO x\nEND"); err != nil {
		t.Fatal(err)
	}
	input.Close()
	expect(t, output, "BEGIN \r\n+009 001 x\r\nEND\r\n")
	if got := <-status; got != exitWell {
		t.Errorf("exit status %d, want %d", got, exitWell)
	}
}

// The end of the session ends racs, though nobody closes its standard input.
func TestRunEndsWithTheSession(t *testing.T) {
	for script, want := range map[string]struct {
		answer string
		status int
	}{
		"BEGIN\nQUIT\nEND\n": {"BEGIN \r\n+012 001 bye\r\nEND\r\n", exitWell},
		"LIST\n":             {"BEGIN \r\n-300 000 a line outside of a request\r\nEND\r\n", exitServerError},
	} {
		input, output, status := interactive(t)
		if _, err := io.WriteString(input, script); err != nil {
			t.Fatal(err)
		}
		expect(t, output, want.answer)
		if got := <-status; got != want.status {
			t.Errorf("%q: exit status %d, want %d", script, got, want.status)
		}
	}
}

func TestScriptScanner(t *testing.T) {
	tests := []struct {
		script string
		want   scriptScanner // without its lines
	}{
		{"", scriptScanner{}},
		{"BEGIN\n", scriptScanner{open: true}},
		{"BEGIN a\r\nLIST\r\nEND\r\n", scriptScanner{requests: 1}},
		{"BEGIN\nEND\n\n  \nBEGIN\nEND\n", scriptScanner{requests: 2}},
		{"  BEGIN  a \n END \n", scriptScanner{requests: 1}},
		{"BEGIN\nQUIT\nEND\n", scriptScanner{requests: 1, quit: true}},
		{"LIST\nBEGIN\nEND\n", scriptScanner{requests: 1, broken: true}},
		{"END\n", scriptScanner{requests: 1, broken: true}},
		{"BEGIN\nBEGIN\nEND\n", scriptScanner{requests: 1, broken: true, open: true}},
		{"begin\n", scriptScanner{requests: 1, broken: true}},
		{"BEGIN\nAPDU s " + strings.Repeat("END ", 100) + "\nEND\n", scriptScanner{requests: 1}},
	}
	for _, test := range tests {
		var got scriptScanner
		got.scan([]byte(test.script))
		got.lines = lineScanner{}
		if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", test.want) {
			t.Errorf("%q: got %+v, want %+v", test.script, got, test.want)
		}
	}
}

// What the scanners find does not depend on how the bytes arrive.
func FuzzScanners(f *testing.F) {
	f.Add([]byte("BEGIN a\r\n-006 001 x\r\nEND\r\nBEGIN\nQUIT\nEND\nLIST"), uint8(3))
	f.Fuzz(func(t *testing.T, in []byte, size uint8) {
		var whole, cut scriptScanner
		var wholeAnswers, cutAnswers answerScanner
		whole.scan(in)
		wholeAnswers.scan(in)
		for rest := in; len(rest) > 0; {
			n := min(len(rest), int(size)+1)
			cut.scan(rest[:n])
			cutAnswers.scan(rest[:n])
			rest = rest[n:]
		}
		if got, want := fmt.Sprintf("%+v %+v", cut, cutAnswers), fmt.Sprintf("%+v %+v", whole, wholeAnswers); got != want {
			t.Errorf("in pieces of %d: %s, whole: %s", int(size)+1, got, want)
		}
		if n := len(cut.lines.start); n > lineStart {
			t.Errorf("%d bytes of a line are kept", n)
		}
	})
}
