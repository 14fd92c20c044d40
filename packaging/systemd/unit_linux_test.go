// Package systemd tests the unit that starts a TSES on a host.
package systemd

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/cloud-of-se/tses/internal/needs"
)

// unit is a copy of the unit whose program is there.
func unit(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("tses.service")
	if err != nil {
		t.Fatal(err)
	}
	const program = "ExecStart=/usr/local/bin/tses -state %S/tses -confine self $TSES_FLAGS\n"
	if !strings.Contains(string(text), program) {
		t.Fatalf("the unit does not start %q", program)
	}
	path := filepath.Join(t.TempDir(), "tses.service")
	if err := os.WriteFile(path, []byte(strings.Replace(string(text), "/usr/local/bin/tses", "/bin/true", 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func analyze(t *testing.T, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		needs.Missing(t, "needs systemd-analyze (Debian: systemd)")
	}
	out, err := exec.CommandContext(t.Context(), "systemd-analyze", append(args, "--no-pager")...).CombinedOutput()
	if err != nil {
		t.Fatalf("systemd-analyze %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// Every directive is one that systemd knows.
func TestVerify(t *testing.T) {
	if said := analyze(t, "verify", unit(t)); strings.Contains(said, "tses.service") {
		t.Error(said)
	}
}

// systemd's own judgement of what the unit leaves open, of 10: below 2 is what
// few services reach that listen on a network and have devices.
func TestSecurity(t *testing.T) {
	said := analyze(t, "security", "--offline=true", unit(t))
	found := regexp.MustCompile(`exposure level for tses.service: ([0-9.]+)`).FindStringSubmatch(said)
	if found == nil {
		t.Fatal(said)
	}
	if level, err := strconv.ParseFloat(found[1], 64); err != nil || level >= 2 {
		t.Errorf("level %s, want below 2\n%s", found[1], said)
	}
}

// The filter of the unit lets through what the TSES's own does, and what it needs to
// lay that: of the names in the lists of package confine none is missing.
func TestSystemCalls(t *testing.T) {
	known := analyze(t, "syscall-filter")
	text, err := os.ReadFile("tses.service")
	if err != nil {
		t.Fatal(err)
	}
	filter := regexp.MustCompile(`(?m)^SystemCallFilter=(.*)$`).FindStringSubmatch(string(text))
	through := make(map[string]bool)
	for _, name := range strings.Fields(filter[1]) {
		expand(t, name, through)
	}
	for _, name := range confined(t) {
		if !through[name] && strings.Contains(known, name) {
			t.Errorf("%s is not let through", name)
		}
	}
	for _, name := range []string{"execve", "seccomp", "landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self", "prctl", "capset"} {
		if !through[name] {
			t.Errorf("%s is not let through", name)
		}
	}
}

// expand adds what a name or a group means.
func expand(t *testing.T, name string, to map[string]bool) {
	t.Helper()
	if !strings.HasPrefix(name, "@") {
		to[name] = true
		return
	}
	for line := range strings.Lines(analyze(t, "syscall-filter", name)) {
		if word := strings.TrimSpace(line); word != "" && word != name && !strings.HasPrefix(word, "#") {
			expand(t, word, to)
		}
	}
}

// confined are the names in the lists of package confine, on all architectures.
func confined(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("../../appliance/internal/confine/*_linux*.go")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	var names []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		list, _, _ := strings.Cut(string(text), "var unknown = ") // which are not allowed
		if strings.HasSuffix(file, "_test.go") || !strings.Contains(list, "allowed") {
			continue
		}
		for _, m := range regexp.MustCompile(`unix\.SYS_([A-Z0-9_]+)`).FindAllStringSubmatch(list, -1) {
			if m[1] == "FSTATAT" { // Go's name for newfstatat on arm64
				m[1] = "NEWFSTATAT"
			}
			names = append(names, strings.ToLower(m[1]))
		}
	}
	if len(names) < 100 {
		t.Fatalf("%d names in %v", len(names), files)
	}
	return names
}
