package builder

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cloud-of-se/tses/internal/needs"
)

// Two builds of the same tree in different directories are the same image, to
// the byte, for the same box.
func TestReproducible(t *testing.T) {
	needs.Asked(t, "compiles for the card and makes two images, some minutes at first")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	dir := t.TempDir()
	var images [2]string
	for i, name := range []string{"here", filepath.Join("somewhere", "else entirely")} {
		tree := filepath.Join(dir, name)
		copyTree(t, tree)
		images[i] = filepath.Join(tree, "card.img")
		_, err := Build(ctx, Options{Repository: tree, Output: images[i], Owner: filepath.Join(dir, "owner"), Name: "tses-0001", Progress: t.Output()})
		if err != nil {
			t.Fatal(err)
		}
	}
	at, err := firstDifference(images[0], images[1])
	if err != nil {
		t.Fatal(err)
	}
	if at >= 0 {
		t.Errorf("the images differ from byte %d on", at)
	}
}

// The packer that makes cards reads nothing of the machine that it runs on.
func TestPackerWithoutHost(t *testing.T) {
	b := &build{work: t.TempDir()}
	sources := t.TempDir() // empty
	if _, err := b.packerSources(sources, filepath.Join(repository, toolsDir)); err == nil || !strings.Contains(err.Error(), "not the one") {
		t.Errorf("another packer: %v", err)
	}
	needs.Asked(t, "compiles the packer")
	b.work, b.Repository = t.TempDir(), repository
	if err := b.compilePacker(t.Context()); err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(b.packer)
	if err != nil {
		t.Fatal(err)
	}
	// What it would say of the machine's own, and what it puts there instead.
	if bytes.Contains(program, []byte("Loading system CA certificates")) || !bytes.Contains(program, []byte("this box trusts its owner's CA alone")) {
		t.Error("it looks for the public CAs of the machine")
	}
}

// copyTree copies the sources. The copies have the time of copying.
func copyTree(t *testing.T, to string) {
	t.Helper()
	from, err := filepath.Abs(repository)
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			if path != from && strings.HasPrefix(d.Name(), ".") {
				return fs.SkipDir
			}
			return os.MkdirAll(filepath.Join(to, relative), 0o700)
		}
		if ext := filepath.Ext(path); !d.Type().IsRegular() || ext != ".go" && ext != ".mod" && ext != ".sum" && ext != ".txt" && ext != ".toml" && ext != ".json" {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, relative), text, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// firstDifference is where two files differ first, -1 if they do not.
func firstDifference(a, b string) (at int64, err error) {
	var files [2]*os.File
	for i, name := range []string{a, b} {
		if files[i], err = os.Open(name); err != nil {
			return 0, err
		}
		defer files[i].Close() // read only: closing it loses nothing
	}
	x, y := make([]byte, 1<<20), make([]byte, 1<<20)
	for {
		n, errA := io.ReadFull(files[0], x)
		m, errB := io.ReadFull(files[1], y)
		if n != m || !bytes.Equal(x[:n], y[:m]) {
			for i := range min(n, m) {
				if x[i] != y[i] {
					return at + int64(i), nil
				}
			}
			return at + int64(min(n, m)), nil
		}
		at += int64(n)
		if errA != nil && errB != nil {
			if end := func(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }; end(errA) && end(errB) {
				return -1, nil
			}
			return 0, errors.Join(errA, errB)
		}
	}
}
