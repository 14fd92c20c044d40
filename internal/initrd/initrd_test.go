package initrd

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestArchive reads an archive back: folders stand before what is in them, and
// everything begins at a multiple of four bytes.
func TestArchive(t *testing.T) {
	raw := Archive([]byte("program"), map[string]File{
		"state/keys/a": {Data: []byte("key")},
		"tses.toml":    {},
		"usr/bin/true": {Data: []byte("ELF"), Mode: 0o755},
		"usr/bin/yes":  {Data: []byte("true"), Mode: fs.ModeSymlink},
	})
	var got []string
	for rest := string(raw); rest != ""; {
		var magic, size, length, ignored int
		var mode uint32
		fields := []any{&magic, &ignored, &mode, &ignored, &ignored, &ignored, &ignored, &size, &ignored, &ignored, &ignored, &ignored, &length, &ignored}
		if _, err := fmt.Sscanf(rest, "%6d"+strings.Repeat("%8x", 13), fields...); err != nil || magic != 70701 {
			t.Fatalf("header %.110q: %v", rest, err)
		}
		name, content := 110, round(110+length)
		got = append(got, fmt.Sprintf("%o %s %s", mode, rest[name:name+length-1], rest[content:content+size]))
		rest = rest[round(content+size):]
	}
	want := []string{
		"40700 dev ", "20666 dev/null ", "100700 init program",
		"40700 state ", "40700 state/keys ", "100600 state/keys/a key", "100600 tses.toml ",
		"40700 usr ", "40700 usr/bin ", "100755 usr/bin/true ELF", "120777 usr/bin/yes true", "0 TRAILER!!! ",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestDir(t *testing.T) {
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "lib", "empty"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, mode := range map[string]fs.FileMode{"lib/a.so": 0o755, "lib/b.txt": 0o644} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(name), mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("lib/a.so", filepath.Join(root, "a.so")); err != nil {
		t.Fatal(err)
	}
	got, err := Dir(root, func(name string) bool { return path.Ext(name) == ".so" })
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]File{"lib/a.so": {[]byte("lib/a.so"), 0o755}, "a.so": {[]byte("lib/a.so"), fs.ModeSymlink}}
	if !maps.EqualFunc(got, want, func(a, b File) bool { return a.Mode == b.Mode && string(a.Data) == string(b.Data) }) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func round(n int) int { return (n + 3) / 4 * 4 }
