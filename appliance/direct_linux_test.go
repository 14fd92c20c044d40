package main

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/cloud-of-se/tses/internal/needs"
)

// direct is the program of libpcsclite in testdata/direct, built.
type direct string

func buildDirect(t testing.TB) direct {
	t.Helper()
	flags, err := exec.CommandContext(t.Context(), "pkg-config", "--cflags", "--libs", "libpcsclite").Output()
	if err != nil {
		needs.Missing(t, "pkg-config does not find libpcsclite (Debian packages pkg-config, libpcsclite-dev)")
	}
	if _, err := exec.LookPath("cc"); err != nil {
		needs.Missing(t, "a C compiler is missing (Debian package gcc)")
	}
	program := filepath.Join(t.TempDir(), "direct")
	args := append([]string{"-O2", "-o", program, "testdata/direct/direct.c"}, strings.Fields(string(flags))...)
	if out, err := exec.CommandContext(t.Context(), "cc", args...).CombinedOutput(); err != nil {
		t.Fatalf("cc: %v\n%s", err, out)
	}
	return direct(program)
}

// args are its arguments for commands that are sent count times to a reader.
func (d direct) args(reader string, count int, commands ...string) []string {
	return append([]string{string(d), reader, strconv.Itoa(count)}, commands...)
}

// span is a time in which commands were sent, in seconds of a clock of its own.
type span struct{ from, to float64 }

func (s span) seconds() float64 { return s.to - s.from }

// over is the span from the first beginning to the last end.
func over(spans []span) span {
	whole := spans[0]
	for _, s := range spans {
		whole.from, whole.to = min(whole.from, s.from), max(whole.to, s.to)
	}
	return whole
}

var fromTo = regexp.MustCompile(`program: from (\d+\.\d+) to (\d+\.\d+)`)

// spanIn is what the program says of when it sent its commands.
func spanIn(out []byte) (s span, err error) {
	said := fromTo.FindSubmatch(out)
	if said == nil {
		return s, fmt.Errorf("the program did not say when it sent its commands:\n%s", bytes.TrimSpace(out))
	}
	s.from, err = strconv.ParseFloat(string(said[1]), 64)
	if err == nil {
		s.to, err = strconv.ParseFloat(string(said[2]), 64)
	}
	return s, err
}

// run runs it and returns when it sent its commands.
func (d direct) run(ctx context.Context, reader string, count int, command string) (span, error) {
	args := d.args(reader, count, command)
	out, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput()
	if err != nil {
		return span{}, fmt.Errorf("%w\n%s", err, out)
	}
	return spanIn(out)
}
