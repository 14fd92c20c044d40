package durable

import (
	"os"
	"path/filepath"
	"testing"
)

func TestWrite(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	if err := Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := Mkdir(dir, 0o700); err != nil {
		t.Errorf("it is there already: %v", err)
	}
	path, elsewhere := filepath.Join(dir, "file"), filepath.Join(t.TempDir(), "elsewhere")
	if err := os.WriteFile(elsewhere, []byte("other"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"first", "second"} {
		if err := os.Symlink(elsewhere, path+".tmp"); err != nil {
			t.Fatal(err)
		}
		if err := Write(path, []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		info, err2 := os.Lstat(path)
		if err != nil || err2 != nil || string(got) != text || info.Mode() != 0o640 {
			t.Errorf("got %q, %v, %v, mode %v; want %q", got, err, err2, info.Mode(), text)
		}
	}
	if got, err := os.ReadFile(elsewhere); string(got) != "other" {
		t.Errorf("a link was followed: %q, %v", got, err)
	}
	if err := os.MkdirAll(filepath.Join(path+".tmp", "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := Write(path, []byte("third"), 0o640); err == nil {
		t.Error("it wrote over a directory that is not empty")
	}
}
