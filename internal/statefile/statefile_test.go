//go:build unix

package statefile_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cloud-of-se/tses/internal/statefile"
	"github.com/cloud-of-se/tses/internal/statefile/statefiletest"
)

// bound is how long a call may take that must not wait at all.
const bound = 20 * time.Second

// within fails the test when do waits.
func within(t *testing.T, what string, do func() error) error {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- do() }()
	select {
	case err := <-done:
		return err
	case <-time.After(bound):
		t.Fatalf("%s: it waits", what)
		return nil
	}
}

// The rules, and what each of them takes besides a file that is as it should be.
func TestRules(t *testing.T) {
	secret := []byte("the key")
	for _, tt := range []struct {
		name  string
		rule  statefile.Rule
		takes []string
	}{
		{"secret", statefile.Secret(1 << 20), []string{"hard link"}},
		{"secret by a link", statefile.Secret(1 << 20).Linked(), []string{"hard link", "symbolic link"}},
		{"kept", statefile.Kept(1 << 20), []string{"hard link", "readable"}},
		{"left", statefile.Left(1 << 20), []string{"hard link", "readable", "writable", "another's"}},
		{"given", statefile.Given(1 << 20), []string{"hard link", "readable", "symbolic link", "another's"}},
	} {
		for _, kind := range statefiletest.Kinds() {
			t.Run(tt.name+"/"+kind.Name, func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "ca.key")
				if err := os.WriteFile(path, secret, 0o600); err != nil {
					t.Fatal(err)
				}
				defer kind.Put(t, path)()
				var text []byte
				err := within(t, "read", func() (err error) { text, err = tt.rule.Read(path); return err })
				takes := strings.Contains(strings.Join(tt.takes, ","), kind.Name)
				switch {
				case takes && (err != nil || !bytes.Equal(text, secret)):
					t.Errorf("got %q, %v", text, err)
				case takes:
				case kind.Name == "dangling link" && tt.rule.Links:
					if !errors.Is(err, fs.ErrNotExist) {
						t.Errorf("got %v, want fs.ErrNotExist", err)
					}
				case !errors.Is(err, kind.Err) || !strings.Contains(err.Error(), path) || text != nil:
					t.Errorf("got %q, %v; want %v and the name", text, err, kind.Err)
				}
			})
		}
	}
}

func TestRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if _, err := statefile.Secret(4).Read(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: got %v, want fs.ErrNotExist", err)
	}
	for _, tt := range []struct {
		text string
		mode fs.FileMode
		want string
	}{
		{"", 0o600, ""}, {"four", 0o400, ""}, {"fives", 0o600, "too large"},
		{"four", 0o640, "find out who read it, then chmod 600 " + path},
		{"four", 0o620, "find out who wrote it, then chmod 600 " + path},
	} {
		if err := errors.Join(os.RemoveAll(path), os.WriteFile(path, []byte(tt.text), 0o600), os.Chmod(path, tt.mode)); err != nil {
			t.Fatal(err)
		}
		text, err := statefile.Secret(4).Read(path)
		if tt.want == "" && (err != nil || string(text) != tt.text) {
			t.Errorf("%q, %04o: got %q, %v", tt.text, tt.mode, text, err)
		}
		if tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%q, %04o: got %v, want %q", tt.text, tt.mode, err, tt.want)
		}
	}
}

// What a file of the kernel says of its size is not believed.
func TestReadGrows(t *testing.T) {
	const path = "/proc/self/status"
	if _, err := os.Stat(path); err != nil {
		t.Skip("there is no file here that is longer than it says: ", err)
	}
	if text, err := statefile.Left(0).Read(path); err == nil || text != nil {
		t.Errorf("got %d bytes and no error", len(text))
	}
}

func TestWrite(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	for range 2 { // it is there already
		if err := statefile.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	path, elsewhere := filepath.Join(dir, "file"), filepath.Join(t.TempDir(), "elsewhere")
	if err := os.WriteFile(elsewhere, []byte("other"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"first", "second"} {
		if err := os.Symlink(elsewhere, path+".tmp"); err != nil {
			t.Fatal(err)
		}
		if err := statefile.Write(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		info, err2 := os.Lstat(path)
		if err != nil || err2 != nil || string(got) != text || info.Mode() != 0o666 {
			t.Errorf("got %q, %v, %v, mode %v; want %q", got, err, err2, info.Mode(), text)
		}
	}
	if got, err := os.ReadFile(elsewhere); string(got) != "other" {
		t.Errorf("a link was followed: %q, %v", got, err)
	}
	if err := os.MkdirAll(filepath.Join(path+".tmp", "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := statefile.Write(path, []byte("third"), 0o640); err == nil {
		t.Error("it wrote over a directory that is not empty")
	}
}

// Whatever stands there, a file takes its place, or nothing happens to it.
func TestWriteOver(t *testing.T) {
	for _, kind := range statefiletest.Kinds() {
		path := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
			t.Fatal(err)
		}
		back := kind.Put(t, path)
		err := within(t, kind.Name, func() error { return statefile.Write(path, []byte("new"), 0o600) })
		if got, _ := os.ReadFile(path + ".moved"); string(got) != "old" {
			t.Errorf("%s: what it led to holds %q", kind.Name, got)
		}
		if kind.Name == "directory" {
			if err == nil {
				t.Error("a directory was replaced")
			}
		} else if text, readErr := statefile.Secret(3).Read(path); err != nil || string(text) != "new" {
			t.Errorf("%s: %v; %q, %v", kind.Name, err, text, readErr)
		}
		back()
	}
}

func TestWriters(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	const writers = 8
	done := make(chan error, writers)
	for i := range writers {
		go func() {
			var err error
			for range 20 {
				err = errors.Join(err, statefile.Write(path, bytes.Repeat([]byte{'a' + byte(i)}, 1000+i), 0o600))
			}
			done <- err
		}()
	}
	for range writers {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil || len(text) != 1000+int(text[0]-'a') || len(bytes.Trim(text, string(text[:1]))) > 0 {
		t.Errorf("got %d bytes, %v", len(text), err)
	}
}

func TestEdit(t *testing.T) {
	for _, kind := range statefiletest.Kinds() {
		path := filepath.Join(t.TempDir(), "lock")
		if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
			t.Fatal(err)
		}
		back := kind.Put(t, path)
		err := within(t, kind.Name, func() error {
			f, err := statefile.Edit(path, 0, 0o600)
			if err == nil {
				err = f.Close()
			}
			return err
		})
		want := kind.Err
		switch kind.Name { // which is judged before the size, where there is no bound
		case "hard link", "readable":
			want = statefile.ErrNames
		case "3 GB of holes":
			want = nil
		}
		if !errors.Is(err, want) || (err == nil) != (want == nil) {
			t.Errorf("%s: got %v, want %v", kind.Name, err, want)
		}
		back()
	}
}

func TestLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	f, err := statefile.Lock(context.Background(), path, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := statefile.Lock(context.Background(), path, 0); !errors.Is(err, statefile.ErrLocked) {
		t.Errorf("got %v, want ErrLocked", err)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	enough := errors.New("enough")
	cancel(enough)
	if _, err := statefile.Lock(ctx, path, time.Hour); !errors.Is(err, enough) {
		t.Errorf("got %v, want %v", err, enough)
	}
	time.AfterFunc(10*time.Millisecond, func() { f.Close() })
	next, err := statefile.Lock(context.Background(), path, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if err := next.Close(); err != nil {
		t.Error(err)
	}
}

func TestCheckDir(t *testing.T) {
	for _, tt := range []struct {
		mode fs.FileMode
		uid  int
		want error
	}{{0o700, 0, nil}, {0o755, 0, nil}, {0o770, 0, statefile.ErrMode}, {0o702, 0, statefile.ErrMode}, {0o700, 65534, statefile.ErrOwner}} {
		dir := t.TempDir()
		if tt.uid != 0 {
			if os.Geteuid() != 0 {
				continue
			}
			if err := os.Chown(dir, tt.uid, tt.uid); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chmod(dir, tt.mode); err != nil {
			t.Fatal(err)
		}
		if err := statefile.CheckDir(dir); !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) {
			t.Errorf("%04o of %d: got %v, want %v", tt.mode, tt.uid, err, tt.want)
		}
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := statefile.CheckDir(file); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%s is a file", file)) {
		t.Errorf("a file: %v", err)
	}
}
