package builder

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/cloud-of-se/tses/update"
)

// An update that was kept is signed once more, and a box that runs a newer one
// takes it then. Nobody but the owner can.
func TestPermitOlder(t *testing.T) {
	o, _, err := OpenOwner(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	other, _, err := OpenOwner(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	kept, out := filepath.Join(dir, "kept.update"), filepath.Join(dir, "out.update")
	var b bytes.Buffer
	if _, err := update.Write(&b, update.Order{Box: "tses-1a2b", Version: "v1", Built: 100, Root: bytes.NewReader(make([]byte, 4096)), Owner: o.authority.Signer()}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(kept, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	runs := update.Running{Box: "tses-1a2b", Version: "v2", Built: 200}
	if h, err := update.Peek(bytes.NewReader(b.Bytes())); err != nil || !errors.Is(h.CheckFor(runs), update.ErrOlder) {
		t.Fatalf("what was kept: %v, %v", h, err)
	}
	for name, dir := range map[string]string{"another owner": other.Dir, "no owner": t.TempDir()} {
		if h, err := PermitOlder(dir, kept, out, time.Unix(200, 0)); err == nil {
			t.Errorf("%s: %v", name, h)
		}
		if left, err := filepath.Glob(filepath.Join(filepath.Dir(out), ".out*")); len(left) > 0 || err != nil {
			t.Errorf("%s: left %v, %v", name, left, err)
		}
	}
	if _, err := os.Stat(out); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it was written: %v", err)
	}
	h, err := PermitOlder(o.Dir, kept, out, time.Unix(200, 0))
	if err != nil || h.CheckFor(runs) != nil {
		t.Errorf("%v, %v, %v", h, err, h.CheckFor(runs))
	}
	runs.Built++
	if err := h.CheckFor(runs); !errors.Is(err, update.ErrOlder) {
		t.Errorf("against what was built later: %v", err)
	}
}
