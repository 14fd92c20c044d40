package access

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// A box whose registry is gone or damaged begins another, and nobody whose
// number may have been in the old one comes in.
func TestRenewRegistry(t *testing.T) {
	owner, err := CreateOwner(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	id, err := owner.IssueBox("tses-1a2b", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	cards := map[int]string{0: writeBox(t, id.Files(owner, nil)), 1: writeBox(t, id.Files(owner, []string{"0c0ffee0c0ffee"}))}
	const left = `[{"serial": "0a0b0c0d0e0f0102", "revoked": "2026-01-02T03:04:05Z"}, {"serial": "00AABBCCDDEE` // cut
	for name, tt := range map[string]struct {
		damage func(path string) error
		want   int // revoked besides what the card names
		card   int // how many it names
	}{
		"gone":        {os.Remove, 0, 1},
		"cut":         {func(path string) error { return os.WriteFile(path, []byte(left), 0o600) }, 2, 1},
		"zeros":       {func(path string) error { return os.WriteFile(path, make([]byte, 100), 0o600) }, 0, 0},
		"a directory": {func(path string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o700)) }, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			dir, state := cards[tt.card], t.TempDir()
			if _, err := openBox(t, dir, state).ServerCertificate(); err != nil {
				t.Fatal(err)
			}
			if err := tt.damage(filepath.Join(state, registryFile)); err != nil {
				t.Fatal(err)
			}
			if _, err := OpenBox(dir, state); !errors.Is(err, ErrRegistry) {
				t.Fatalf("OpenBox = %v, want %v", err, ErrRegistry)
			}
			// A power cut behind the first renewal loses nothing of the old one.
			for range 2 {
				refused, err := RenewRegistry(state)
				if err != nil || refused != tt.want {
					t.Fatalf("RenewRegistry = %d, %v, want %d", refused, err, tt.want)
				}
				if err := os.Remove(filepath.Join(state, registryFile)); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := RenewRegistry(state); err != nil {
				t.Fatal(err)
			}
			entries, err := openBox(t, dir, state).Registry().Entries()
			if err != nil || len(entries) != tt.want+tt.card {
				t.Errorf("entries %v, %v", entries, err)
			}
			for _, e := range entries {
				if e.Revoked.IsZero() {
					t.Errorf("%s is not revoked", e.Serial)
				}
			}
		})
	}
}
