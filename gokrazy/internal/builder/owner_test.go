package builder

import (
	"crypto/tls"
	"errors"
	"io/fs"
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

// A run that was killed on the way to the administrator's credential leaves
// nothing that keeps the next from issuing it, wherever it was.
func TestInterruptedOwner(t *testing.T) {
	for _, tt := range []struct {
		name        string
		issued      bool   // the registry knows of one
		admin, part string // what the files hold, "-" where there are none
		want        bool   // that there is a good one afterwards
	}{
		{"before it was issued", false, "-", "", true},
		{"when it was issued", true, "-", "", true},
		{"in the middle of writing", true, "-", "half", true},
		{"before the part was removed", true, "good", "good", true},
		{"an empty one, not issued", false, "", "-", true},
		{"an empty one, issued", true, "", "-", true},
		{"moved away", true, "-", "-", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := newOwner(t)
			good := read(t, o.Admin())
			if !tt.issued {
				dir := filepath.Join(t.TempDir(), "owner")
				if err := os.MkdirAll(filepath.Join(dir, "credentials"), 0o700); err != nil {
					t.Fatal(err)
				}
				if _, err := access.CreateOwner(dir); err != nil {
					t.Fatal(err)
				}
				o = &Owner{Dir: dir}
			}
			for path, text := range map[string]string{o.Admin(): tt.admin, o.Admin() + ".part": tt.part} {
				var err error
				switch text {
				case "-":
					if err = os.Remove(path); errors.Is(err, fs.ErrNotExist) {
						err = nil
					}
				case "good":
					err = os.WriteFile(path, []byte(good), 0o600)
				default:
					err = os.WriteFile(path, []byte(text), 0o600)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			again, _, err := OpenOwner(o.Dir)
			if err != nil {
				t.Fatal(err)
			}
			pair, err := tls.LoadX509KeyPair(again.Admin(), again.Admin())
			if (err == nil) != tt.want {
				t.Fatalf("the credential: %v, want it: %v", err, tt.want)
			}
			if tt.want && pair.Leaf.CheckSignatureFrom(again.authority.Certificate()) != nil {
				t.Error("the credential is another CA's")
			}
			if _, err := os.Stat(again.Admin() + ".part"); err == nil {
				t.Error("a part of a credential is left")
			}
			if tt.admin == "good" && read(t, again.Admin()) != good {
				t.Error("a good credential was replaced")
			}
		})
	}
}

// What somebody has put in the credential's place is not replaced.
func TestForeignAdmin(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "owner")
	admin := filepath.Join(dir, adminFile)
	if err := os.MkdirAll(filepath.Dir(admin), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(admin, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time as the first
		if _, _, err := OpenOwner(dir); err == nil || !strings.Contains(err.Error(), admin+" is there") {
			t.Errorf("got %v, want an error that says what to move away", err)
		}
	}
	if got := read(t, admin); got != "mine" {
		t.Errorf("it is now %q", got)
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

// A second box is made where it is asked for, and not by the way: each would have
// a name of its own, and nobody its card.
func TestNewBoxIsAskedFor(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "owner")
	identified := func(name string, another bool) (string, error) {
		b := &build{Options: Options{Repository: repository, Owner: dir, Name: name, New: another, Progress: t.Output()}}
		b.config.files = make(map[string]string)
		err := b.identify(t.Context())
		return b.Name, err
	}
	first, err := identified("", false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := identified("", false); err == nil || !strings.Contains(err.Error(), "there is "+first+" already: make its card again with -name "+first+", or another box with -new") {
		t.Errorf("the second time: %v, want the boxes and what to say", err)
	}
	if got, err := identified(first, false); err != nil || got != first {
		t.Errorf("by its name: %s, %v", got, err)
	}
	if got, err := identified("", true); err != nil || got == first {
		t.Errorf("a new one: %s, %v", got, err)
	}
	o, _, err := OpenOwner(dir)
	if err != nil {
		t.Fatal(err)
	}
	if names, err := o.boxes(); err != nil || len(names) != 2 {
		t.Errorf("boxes: %q, %v", names, err)
	}
}
