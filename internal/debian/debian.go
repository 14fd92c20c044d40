// Package debian gives tests Debian's arm64 packages, to run in a virtual
// machine. Nothing is installed: apt fetches them with a state of its own, and
// they are unpacked into the user's cache, so that a second run needs no
// network.
package debian

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cloud-of-se/tses/internal/needs"
)

// Arm64 is the folder that packages are unpacked in. Dependencies have to be
// named as well: a program seldom needs all of them. A test that cannot have
// them is skipped, or fails where nothing may be skipped.
func Arm64(t testing.TB, packages ...string) (root string) {
	t.Helper()
	dir, err := cache(packages)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); err == nil {
		return dir
	}
	apt := newApt(t)
	if err := unpack(apt, dir, packages); err != nil {
		needs.Missing(t, err.Error())
	}
	return dir
}

// cache is where a set of packages is kept, all of them together, so that what
// is unpacked came from one state of Debian.
func cache(packages []string) (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("a folder for Debian's packages: %w", err)
	}
	sorted := slices.Sorted(slices.Values(packages))
	sum := sha256.Sum256([]byte(strings.Join(sorted, "\n")))
	return filepath.Join(dir, "tses-test", "debian-arm64", fmt.Sprintf("%s-%x", sorted[0], sum[:4])), nil
}

// unpack fetches packages and makes dir of them, in one step: other tests may
// be about the same.
func unpack(a apt, dir string, packages []string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	archives, err := a.download(packages)
	if err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), "unpacking-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	// dpkg-deb gives the folder the mode that the archive has for it, and what is
	// in the folder that MkdirTemp made is nobody else's.
	root := filepath.Join(tmp, "root")
	for _, archive := range archives {
		if out, err := exec.Command("dpkg-deb", "-x", archive, root).CombinedOutput(); err != nil {
			return fmt.Errorf("unpack %s: %w\n%s", filepath.Base(archive), err, out)
		}
	}
	err = os.Rename(root, dir)
	if errors.Is(err, fs.ErrExist) {
		return nil // another test was faster
	}
	return err
}

// apt is the folder of a state without any installed package.
type apt string

func newApt(t testing.TB) apt {
	t.Helper()
	for _, program := range []string{"apt-get", "apt-cache", "dpkg-deb"} {
		if _, err := exec.LookPath(program); err != nil {
			needs.Missing(t, "needs "+program+", for arm64 packages of Debian")
		}
	}
	a := apt(t.TempDir())
	for _, dir := range []string{"lists/partial", "cache/archives/partial", "archives"} {
		if err := os.MkdirAll(filepath.Join(string(a), dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(a.file("status"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := a.run("apt-get", "update", "-q", "--error-on=any"); err != nil {
		needs.Missing(t, err.Error())
	}
	return a
}

func (a apt) file(name string) string { return filepath.Join(string(a), name) }

// run runs a program of apt. It takes the sources of the host and none of its
// state.
func (a apt) run(program string, args ...string) (string, error) {
	var out, errs strings.Builder
	cmd := exec.Command(program, append([]string{
		"-o", "APT::Architecture=arm64", "-o", "APT::Architectures=arm64",
		"-o", "Dir::State::Lists=" + a.file("lists"), "-o", "Dir::State::status=" + a.file("status"),
		"-o", "Dir::Cache=" + a.file("cache"),
		"-o", "APT::Sandbox::User=", // as a test's folder is nobody else's
		"-o", "Acquire::Retries=3", "-o", "Acquire::http::Timeout=30",
	}, args...)...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = a.file("archives"), &out, &errs
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s", program, strings.Join(args, " "), err, &errs)
	}
	return out.String(), nil
}

// download fetches packages and returns their files.
func (a apt) download(packages []string) ([]string, error) {
	if _, err := a.run("apt-get", append([]string{"download", "-q"}, packages...)...); err != nil {
		return nil, err
	}
	archives, err := filepath.Glob(a.file("archives/*.deb"))
	if err != nil || len(archives) != len(packages) {
		return nil, fmt.Errorf("apt-get download: %d files for %d packages, %v", len(archives), len(packages), err)
	}
	return archives, nil
}

// depends are the packages that one depends on.
func (a apt) depends(name string) ([]string, error) {
	out, err := a.run("apt-cache", "depends", "--important", name)
	if err != nil {
		return nil, err
	}
	var all []string
	for line := range strings.Lines(out) {
		if _, on, ok := strings.Cut(line, "Depends: "); ok {
			all = append(all, strings.TrimSpace(on))
		}
	}
	return all, nil
}
