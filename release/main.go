// Command release builds what people get who have no Go:
//
//	go run ./release [-o dist] [-version v1.2.3]
//
// makes, in an empty or new directory,
//
//	racs-OS-ARCH           the client for Linux, macOS and Windows
//	tses-linux-ARCH        the TSES (command appliance) for Linux on amd64, arm64 and arm (v7)
//	tses_VERSION_ARCH.deb  both for Debian, with a unit of systemd that nothing starts by itself
//	SHA256SUMS             of all of them: sha256sum -c SHA256SUMS
//
// The programs need no library and are built without paths of this machine, so
// that the same sources and the same Go make the same bytes.
//
// Without -version it is what git describe says of the sources.
package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// Exit statuses.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	r := release{progress: stderr}
	fs := flag.NewFlagSet("release", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.StringVar(&r.dir, "o", "dist", "the `directory` to make")
	fs.StringVar(&r.version, "version", "", "the `version`, such as v1.2.3; default what git describe says")
	if err := fs.Parse(args); errors.Is(err, flag.ErrHelp) {
		return exitOK
	} else if err != nil || fs.NArg() > 0 {
		fmt.Fprintln(stderr, "usage: go run ./release [-o DIR] [-version VERSION]")
		return exitUsage
	}
	if err := r.make(ctx); err != nil {
		fmt.Fprintf(stderr, "release: %v\n", err)
		return exitFailed
	}
	fmt.Fprintf(stdout, "%s is in %s; SHA256SUMS there has the checksums\n", r.version, r.dir)
	return exitOK
}

// target is one program for one machine.
type target struct{ name, pkg, os, arch string }

func (t target) file() string {
	suffix := ""
	if t.os == "windows" {
		suffix = ".exe"
	}
	return t.name + "-" + t.os + "-" + t.arch + suffix
}

// targets are all programs of a release.
func targets() (all []target) {
	for _, machine := range []string{"linux/amd64", "linux/arm64", "linux/arm", "darwin/amd64", "darwin/arm64", "windows/amd64", "windows/arm64"} {
		system, arch, _ := strings.Cut(machine, "/")
		all = append(all, target{"racs", "./cmd/racs", system, arch})
		if system == "linux" {
			all = append(all, target{"tses", "./appliance", system, arch})
		}
	}
	return all
}

// release is one that is being made.
type release struct {
	dir, version string
	progress     io.Writer
}

func (r *release) make(ctx context.Context) error {
	root, err := output(ctx, ".", "go", "list", "-m", "-f", "{{.Dir}}", module)
	if err != nil {
		return fmt.Errorf("the sources are not here: run it in a clone of the repository: %w", err)
	}
	if err := r.named(ctx, root); err != nil {
		return err
	}
	if r.dir, err = emptyDir(r.dir); err != nil {
		return err
	}
	var files []string
	for _, t := range targets() {
		if err := r.build(ctx, root, t); err != nil {
			return err
		}
		files = append(files, t.file())
	}
	for _, arch := range []string{"amd64", "arm64", "arm"} {
		name, err := r.debian(root, arch)
		if err != nil {
			return fmt.Errorf("the Debian package for %s: %w", arch, err)
		}
		r.say(name)
		files = append(files, name)
	}
	return r.sums(files)
}

const module = "github.com/cloud-of-se/tses"

// versions are those that a file's name, the linker and Debian bear.
var versions = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z.+~-]{0,80}$`)

// named finds the version.
func (r *release) named(ctx context.Context, root string) (err error) {
	if r.version == "" {
		if r.version, err = output(ctx, root, "git", "describe", "--tags", "--always", "--dirty"); err != nil {
			return fmt.Errorf("git does not tell the version; give -version v1.2.3: %w", err)
		}
	}
	if !versions.MatchString(r.version) {
		return fmt.Errorf("-version %.90q: want letters, digits and . + ~ -, such as v1.2.3", r.version)
	}
	return nil
}

// emptyDir makes a directory, or takes one with nothing in it: what somebody has
// there is neither replaced nor summed.
func emptyDir(dir string) (string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	if len(entries) > 0 {
		return "", fmt.Errorf("%s is not empty; remove it, or give -o another directory", dir)
	}
	return filepath.Abs(dir)
}

func (r *release) build(ctx context.Context, root string, t target) error {
	r.say(t.file())
	link := "-s -w -X " + module + "/internal/version.released=" + r.version
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", link, "-o", filepath.Join(r.dir, t.file()), t.pkg)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOOS="+t.os, "GOARCH="+t.arch, "GOARM=7")
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", t.file(), err, said)
	}
	return nil
}

// say tells of progress, which nothing depends on.
func (r *release) say(what string) { _, _ = fmt.Fprintln(r.progress, what) }

func (r *release) sums(files []string) error {
	var list strings.Builder
	for _, name := range files {
		content, err := os.ReadFile(filepath.Join(r.dir, name))
		if err != nil {
			return err
		}
		fmt.Fprintf(&list, "%x  %s\n", sha256.Sum256(content), name)
	}
	return os.WriteFile(filepath.Join(r.dir, "SHA256SUMS"), []byte(list.String()), 0o644)
}

// output is what a program prints, without the space around it.
func output(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	out, err := cmd.Output()
	return strings.TrimSpace(string(out)), err
}
