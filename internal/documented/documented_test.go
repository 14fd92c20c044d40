// Package documented tests the lines that people copy out of the guides: the
// README files, the package comments of the programs and what the programs print.
package documented

import (
	"context"
	"fmt"
	"go/build"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const root = "../.."

// line is a command with where it stands.
type line struct{ file, text string }

// inline is a command within a sentence; a line's end may be within it.
var inline = regexp.MustCompile("`((?:CGO_ENABLED=0 )?go (?:build|run|install|test)[^`]*)`")

// block is a command on a line of its own, of a guide or of a package comment.
var block = regexp.MustCompile(`^(?://\t|    )((?:TSES_TEST_ALL=1 )?(?:CGO_ENABLED=0 )?go (?:build|run|install|test) .*)`)

// alsoBuild is a second way behind a command.
var alsoBuild = regexp.MustCompile(`go build [^#]*$`)

// documented lists the commands of all guides.
func documented(t *testing.T) (all []line) {
	t.Helper()
	for _, file := range guides(t) {
		text, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range inline.FindAllStringSubmatch(string(text), -1) {
			all = append(all, line{file, strings.Join(strings.Fields(m[1]), " ")})
		}
		for l := range strings.Lines(string(text)) {
			m := block.FindStringSubmatch(strings.TrimRight(l, "\n"))
			_, comment, _ := strings.Cut(l, " # ")
			if m != nil {
				command, _, _ := strings.Cut(m[1], " # ")
				command, _, _ = strings.Cut(command, "  ") // what it does stands behind it
				all = append(all, line{file, strings.TrimSpace(command)})
			}
			if also := alsoBuild.FindString(strings.TrimRight(comment, "\n")); also != "" {
				all = append(all, line{file, also})
			}
		}
	}
	if len(all) < 30 {
		t.Fatalf("%d commands are found: %v", len(all), all)
	}
	return all
}

// guides are the Markdown files and the sources with the programs' comments.
func guides(t *testing.T) (files []string) {
	t.Helper()
	err := fs.WalkDir(os.DirFS(root), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "bin" || d.Name() == "dist") {
			return fs.SkipDir
		}
		if strings.HasSuffix(path, ".md") || strings.HasSuffix(path, "main.go") {
			files = append(files, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// Every package that a command names is there, and go run gets a program.
func TestPackages(t *testing.T) {
	named := regexp.MustCompile(`(?:^| )(\./[a-z0-9/_.]*[a-z0-9])(?: |$)`)
	for _, l := range documented(t) {
		if strings.Contains(l.text, "./...") {
			continue
		}
		packages := named.FindAllStringSubmatch(strings.ReplaceAll(l.text, " ", "  "), -1)
		if len(packages) == 0 {
			t.Errorf("%s: %s: no package of this repository", l.file, l.text)
		}
		for i, m := range packages {
			if i > 0 && strings.Contains(l.text, "go run ") {
				break // a file for the program
			}
			p, err := build.ImportDir(filepath.Join(root, m[1]), 0)
			if err != nil {
				t.Errorf("%s: %s: %v", l.file, l.text, err)
			} else if p.Name != "main" && !strings.Contains(l.text, "go test") {
				t.Errorf("%s: %s: package %s is no program", l.file, l.text, p.Name)
			}
		}
	}
}

// Every documented build works in the root of the repository, where a program
// without a name would be given that of its own directory. It is linked elsewhere.
func TestBuilds(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: it links programs")
	}
	tried := make(map[string]bool)
	for _, l := range documented(t) {
		if !strings.Contains(l.text, "go build ") && !strings.Contains(l.text, "go install ") || tried[l.text] {
			continue
		}
		tried[l.text] = true
		if err := builds(t.Context(), l.text, t.TempDir()); err != nil {
			t.Errorf("%s: %s: %v", l.file, l.text, err)
		}
	}
	if len(tried) < 3 {
		t.Errorf("documented are only %v", tried)
	}
}

var output = regexp.MustCompile(`-o (\S+)`)

// builds runs a command of go build, or go install, with the output below dir.
func builds(ctx context.Context, command, dir string) error {
	m := output.FindStringSubmatch(command)
	if m == nil && strings.Contains(command, "go build ") {
		words := strings.Fields(command)
		name := filepath.Base(words[len(words)-1])
		if info, err := os.Stat(filepath.Join(root, name)); err == nil && info.IsDir() {
			return fmt.Errorf("go cannot write the program %s, which is a directory here: give it -o bin/", name)
		}
		command = strings.Replace(command, "go build ", "go build -o "+dir+"/ ", 1)
	} else if m != nil {
		if filepath.IsAbs(m[1]) {
			return fmt.Errorf("-o %s is not below the repository", m[1])
		}
		if exec.CommandContext(ctx, "git", "-C", root, "check-ignore", "-q", m[1]).Run() != nil && isClone(ctx) {
			return fmt.Errorf("git does not ignore %s", m[1])
		}
		command = strings.Replace(command, "-o "+m[1], "-o "+filepath.Join(dir, m[1])+"/", 1)
	}
	cmd := exec.CommandContext(ctx, "sh", "-ec", command)
	cmd.Dir, cmd.Env = root, append(os.Environ(), "GOBIN="+dir)
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, said)
	}
	return nil
}

// isClone tells whether the sources are a clone, and not an archive of one.
func isClone(ctx context.Context) bool {
	return exec.CommandContext(ctx, "git", "-C", root, "rev-parse", "--git-dir").Run() == nil
}

// The rule that TestBuilds has of go's behaviour is go's.
func TestBareBuild(t *testing.T) {
	if err := builds(t.Context(), "go build ./appliance", t.TempDir()); err == nil {
		t.Error("go build ./appliance is taken to work in the root")
	}
	dir := t.TempDir()
	for name, text := range map[string]string{"go.mod": "module m\n", "p/main.go": "package main\n\nfunc main() {}\n"} {
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "go", "build", "./p")
	cmd.Dir = dir
	if said, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(said), "is a directory") {
		t.Errorf("%v: %s; a program with its directory's name can be built now, and need not be given another place", err, said)
	}
}
