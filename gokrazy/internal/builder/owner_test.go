package builder

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cloud-of-se/tses/access"
)

func newOwner(t *testing.T) *Owner {
	t.Helper()
	o, made, err := OpenOwner(filepath.Join(t.TempDir(), "owner"))
	if err != nil || !made {
		t.Fatalf("OpenOwner: made %v, %v", made, err)
	}
	return o
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestOwnerIsMadeOnce(t *testing.T) {
	o := newOwner(t)
	ca, admin := read(t, o.CA()), read(t, o.Admin())
	again, made, err := OpenOwner(o.Dir)
	if err != nil || made {
		t.Fatalf("OpenOwner again: made %v, %v", made, err)
	}
	if read(t, again.CA()) != ca || read(t, again.Admin()) != admin {
		t.Error("the second run replaced the CA or the administrator's credential")
	}
	if err := os.Remove(o.Admin()); err != nil {
		t.Fatal(err)
	}
	if _, _, err := OpenOwner(o.Dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(o.Admin()); err == nil {
		t.Error("a credential that was moved away was issued again")
	}
}

// Who else uses the machine can read nothing of the owner's.
func TestOwnersFilesArePrivate(t *testing.T) {
	o := newOwner(t)
	if _, err := o.Box("tses-0001", nil); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ca.key", adminFile, boxesDir + "/tses-0001/ca.key"} {
		info, err := os.Stat(filepath.Join(o.Dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, want 0600", name, info.Mode())
		}
	}
	if info, err := os.Stat(o.Dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory has mode %v, %v, want 0700", info.Mode(), err)
	}
}

func TestBoxIsKept(t *testing.T) {
	o := newOwner(t)
	first, err := o.Box("tses-0001", nil)
	if err != nil {
		t.Fatal(err)
	}
	again, err := o.Box("tses-0001", nil)
	if err != nil {
		t.Fatal(err)
	}
	if string(first.CertPEM) != string(again.CertPEM) || string(first.KeyPEM) != string(again.KeyPEM) || !first.Made.Equal(again.Made) {
		t.Error("the box got another identity")
	}
	if first.Made.IsZero() || time.Since(first.Made) > time.Hour {
		t.Errorf("the box was made at %v", first.Made)
	}
	other, err := o.Box("tses-0002", nil)
	if err != nil {
		t.Fatal(err)
	}
	if string(other.KeyPEM) == string(first.KeyPEM) {
		t.Error("two boxes have one key")
	}
	uuid, seed := first.permIDs()
	otherUUID, _ := other.permIDs()
	if againUUID, _ := again.permIDs(); uuid != againUUID || uuid == otherUUID || uuid == seed {
		t.Error("/perm's identifiers are not the box's own")
	}
}

// A lost file is no reason for a new identity behind everybody's back.
func TestBoxWithALostFile(t *testing.T) {
	for _, name := range []string{boxKeyFile, boxCertFile} {
		o := newOwner(t)
		if _, err := o.Box("tses-0001", nil); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(o.boxPath("tses-0001", name)); err != nil {
			t.Fatal(err)
		}
		if _, err := o.Box("tses-0001", nil); err == nil || !strings.Contains(err.Error(), "restore it") {
			t.Errorf("without %s: %v, want an error that says what to do", name, err)
		}
	}
}

func TestBoxNames(t *testing.T) {
	o := newOwner(t)
	for _, name := range []string{"", "../x", "a/b", "TSES", "tses 1"} {
		if _, err := o.Box(name, nil); err == nil {
			t.Errorf("the box name %q is taken", name)
		}
	}
	if name := o.newName(); !strings.HasPrefix(name, "tses-") || len(name) != 9 || access.CheckBoxName(name) != nil {
		t.Errorf("newName = %q", name)
	}
}
