package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cloud-of-se/tses/internal/needs"
)

// staged is a release whose programs stand for themselves.
func staged(t *testing.T) *release {
	t.Helper()
	r := &release{dir: t.TempDir(), version: "v1.2.3", progress: t.Output()}
	for _, name := range []string{"tses-linux-arm", "racs-linux-arm"} {
		if err := os.WriteFile(filepath.Join(r.dir, name), []byte(name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

func dpkg(t *testing.T, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath("dpkg-deb"); err != nil {
		needs.Missing(t, "needs dpkg-deb (Debian: dpkg)")
	}
	out, err := exec.CommandContext(t.Context(), "dpkg-deb", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("dpkg-deb %q: %v\n%s", args, err, out)
	}
	return string(out)
}

// Debian's own tool reads what was written.
func TestDpkg(t *testing.T) {
	r := staged(t)
	name, err := r.debian("..", "arm")
	if err != nil {
		t.Fatal(err)
	}
	if want := "tses_1.2.3_armhf.deb"; name != want {
		t.Errorf("%s, want %s", name, want)
	}
	file := filepath.Join(r.dir, name)
	info := dpkg(t, "--info", file)
	for _, want := range []string{"new Debian package, version 2.0", " Package: tses\n", " Version: 1.2.3\n", " Architecture: armhf\n", "postinst", "prerm"} {
		if !strings.Contains(info, want) {
			t.Errorf("--info does not say %q:\n%s", want, info)
		}
	}
	contents := dpkg(t, "--contents", file)
	for _, want := range []string{"-rwxr-xr-x root/root", "./usr/bin/tses\n", "./usr/bin/racs\n", "./lib/systemd/system/tses.service\n", "./usr/lib/sysusers.d/tses.conf\n", "drwxr-xr-x root/root"} {
		if !strings.Contains(contents, want) {
			t.Errorf("--contents does not say %q:\n%s", want, contents)
		}
	}
	dpkg(t, "--extract", file, filepath.Join(r.dir, "root"))
	unit, err := os.ReadFile(filepath.Join(r.dir, "root/lib/systemd/system/tses.service"))
	if err != nil || !strings.Contains(string(unit), "\nExecStart=/usr/bin/tses ") || strings.Contains(string(unit), "/usr/local") {
		t.Errorf("%v: the unit starts another program:\n%s", err, unit)
	}
	program, err := os.ReadFile(filepath.Join(r.dir, "root/usr/bin/tses"))
	if err != nil || string(program) != "tses-linux-arm" {
		t.Errorf("%v: /usr/bin/tses holds %q", err, program)
	}
}

// dpkg takes every version, and a release is newer than a revision.
func TestDebVersion(t *testing.T) {
	for version, want := range map[string]string{
		"v1.2.3": "1.2.3", "v1.2.3-4-gabcdef0": "1.2.3+4+gabcdef0", "v1.2.3-rc1": "1.2.3~rc1",
		"a7a20be": "0~a7a20be", "7a20be1-dirty": "0~7a20be1+dirty",
	} {
		if got := debVersion(version); got != want {
			t.Errorf("%s: %s, want %s", version, got, want)
		}
	}
	if _, err := exec.LookPath("dpkg"); err != nil {
		needs.Missing(t, "needs dpkg (Debian: dpkg)")
	}
	for _, version := range []string{"v1.2.3", "a7a20be", "7a20be1-dirty"} {
		if out, err := exec.CommandContext(t.Context(), "dpkg", "--validate-version", debVersion(version)).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", version, err, out)
		}
	}
	if err := exec.CommandContext(t.Context(), "dpkg", "--compare-versions", debVersion("9a7a20b"), "lt", debVersion("v0.1.0")).Run(); err != nil {
		t.Errorf("a revision is not older than a release: %v", err)
	}
}
