package vault

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestLoadKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "state.key")
	k, err := LoadKey(path)
	if err != nil {
		t.Fatal(err)
	}
	again, err := LoadKey(path)
	if err != nil || *again != *k {
		t.Fatalf("the second time: another key, %v", err)
	}
	b, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(b, k.secret[:]) {
		t.Errorf("the file has %d bytes that are not the key, %v", len(b), err)
	}
}

// TestLoadKeyAtOnce has several make the key: all get the same.
func TestLoadKeyAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.key")
	keys := make([]*SecretKey, 8)
	var wg sync.WaitGroup
	for i := range keys {
		wg.Go(func() {
			var err error
			if keys[i], err = LoadKey(path); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, k := range keys[1:] {
		if k == nil || keys[0] == nil || *k != *keys[0] {
			t.Fatal("two of them have different keys")
		}
	}
}

func TestLoadKeyRefuses(t *testing.T) {
	good := strings.Repeat("k", KeySize)
	tests := []struct {
		name, content string
		mode          os.FileMode
		want          error
	}{
		{"good", good, 0o600, nil},
		{"read-only", good, 0o400, nil},
		{"group may read", good, 0o640, ErrKeyMode},
		{"others may read", good, 0o604, ErrKeyMode},
		{"others may write", good, 0o602, ErrKeyMode},
		{"empty", "", 0o600, ErrKeyFile},
		{"short", good[1:], 0o600, ErrKeyFile},
		{"long", good + "k", 0o600, ErrKeyFile},
		{"zeros", string(make([]byte, KeySize)), 0o600, ErrKeyFile},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "state.key")
			if err := errors.Join(os.WriteFile(path, []byte(tt.content), 0o600), os.Chmod(path, tt.mode)); err != nil {
				t.Fatal(err)
			}
			_, err := LoadKey(path)
			if !errors.Is(err, tt.want) {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
			if tt.want == ErrKeyMode && !strings.Contains(err.Error(), "chmod 600 "+path) {
				t.Errorf("%v does not say what to do", err)
			}
			if b, err := os.ReadFile(path); err != nil || string(b) != tt.content {
				t.Errorf("the file was changed, %v", err)
			}
		})
	}
	dir := filepath.Join(t.TempDir(), "state.key")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadKey(dir); !errors.Is(err, ErrKeyFile) {
		t.Errorf("a directory: got %v, want ErrKeyFile", err)
	}
}

// TestDerive holds the derivation to what HMAC-SHA-256 gives by hand: T(1) of
// RFC 5869, 2.3, with info "tses P\x00S". A change would lose every state.
func TestDerive(t *testing.T) {
	k := testKey(t)
	got := map[string]bool{}
	for _, p := range [][2]string{{"a", "b"}, {"a", "c"}, {"b", "b"}, {"ab", ""}, {"a", ""}, {"", "ab"}} {
		d, err := k.Derive(p[0], p[1])
		if err != nil || len(d) != KeySize || got[string(d)] {
			t.Errorf("%q: got %x, %v, twice or not %d bytes", p, d, err, KeySize)
		}
		got[string(d)] = true
	}
	d, err := k.Derive("softse state", "soft1")
	if want := deriveByHand(k.secret[:], "tses softse state\x00soft1"); err != nil || !bytes.Equal(d, want) {
		t.Errorf("got %x, %v, want %x", d, err, want)
	}
}

// TestKeyDoesNotPrint: no verb shows it.
func TestKeyDoesNotPrint(t *testing.T) {
	k, err := NewKey([]byte(strings.Repeat("k", KeySize)))
	if err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d", "%q"} {
		s := fmt.Sprintf(verb, k)
		if strings.Contains(s, "kk") || strings.Contains(s, hex.EncodeToString([]byte("kk"))) || strings.Contains(s, "107") {
			t.Errorf("%s: %s", verb, s)
		}
	}
	k.Wipe()
	if k.secret != [KeySize]byte{} {
		t.Error("Wipe leaves the key")
	}
}

// badKey is hardware that fails.
type badKey struct {
	n   int
	err error
}

func (k badKey) Derive(string, string) ([]byte, error) { return make([]byte, k.n), k.err }

func TestKeyThatFails(t *testing.T) {
	gone := errors.New("no such chip")
	if _, err := Open(t.TempDir(), badKey{KeySize, gone}, "soft1"); !errors.Is(err, gone) {
		t.Errorf("got %v, want %v", err, gone)
	}
	if _, err := Open(t.TempDir(), badKey{16, nil}, "soft1"); err == nil {
		t.Error("a key of 16 bytes is taken")
	}
}

func deriveByHand(secret []byte, info string) []byte {
	extract := hmac.New(sha256.New, make([]byte, sha256.Size))
	extract.Write(secret)
	expand := hmac.New(sha256.New, extract.Sum(nil))
	expand.Write([]byte(info + "\x01"))
	return expand.Sum(nil)
}
