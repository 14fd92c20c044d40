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

var perCommand = regexp.MustCompile(`program: (\d+) ns`)

// perCommandIn is what the program says that a command took, in nanoseconds.
func perCommandIn(out []byte) (float64, error) {
	said := perCommand.FindSubmatch(out)
	if said == nil {
		return 0, fmt.Errorf("the program did not say what a command took:\n%s", bytes.TrimSpace(out))
	}
	return strconv.ParseFloat(string(said[1]), 64)
}

// run runs it and returns what a command took in nanoseconds.
func (d direct) run(ctx context.Context, reader string, count int, command string) (float64, error) {
	args := d.args(reader, count, command)
	out, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("%w\n%s", err, out)
	}
	return perCommandIn(out)
}
