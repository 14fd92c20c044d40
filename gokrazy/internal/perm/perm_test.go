package perm

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cloud-of-se/tses/gokrazy/internal/ext4"
	"github.com/cloud-of-se/tses/gokrazy/sdcard"
)

// fake is a volume that a directory stands for.
type fake struct {
	dir, label          string
	mounted, readOnly   bool
	busy                bool    // it cannot be unmounted
	failMounts          int     // how often mounting fails; negative: until it is repaired or made anew
	mountErr            error   // with what; nil: EINVAL
	writes              []error // what the next tries to write end with; the last one stays
	repairable, dead    bool    // dead: nothing can be written
	repaired, formatted bool
	memory              bool
	under               string // where the files of the card are while it is in memory
}

func (f *fake) Mount() error {
	if f.failMounts != 0 {
		f.failMounts--
		return fmt.Errorf("mount fake: %w", cmp.Or[error](f.mountErr, syscall.EINVAL))
	}
	f.mounted, f.readOnly = true, false
	return nil
}

func (f *fake) Unmount() error {
	if f.busy {
		return fmt.Errorf("unmount fake: %w", syscall.EBUSY)
	}
	f.mounted = false
	return nil
}

func (f *fake) Mounted() (bool, bool, error) { return f.mounted, f.mounted && !f.readOnly, nil }

func (f *fake) TryWrite() error {
	if len(f.writes) == 0 {
		return nil
	}
	err := f.writes[0]
	f.writes = f.writes[min(1, len(f.writes)-1):]
	return err
}

func (f *fake) Label() (string, error) { return f.label, nil }

func (f *fake) SetLabel(label string) error { f.label = label; return nil }

// Repair is that of a file system that is not what keeps it from being mounted,
// unless it is repairable.
func (f *fake) Repair() error {
	if !f.repairable {
		return ext4.ErrSound
	}
	f.repaired, f.failMounts = true, 0
	return nil
}

func (f *fake) Format(label string) error {
	f.formatted = true
	if f.dead {
		return syscall.EIO
	}
	entries, err := os.ReadDir(f.dir)
	for _, e := range entries {
		err = errors.Join(err, os.RemoveAll(filepath.Join(f.dir, e.Name())))
	}
	f.failMounts, f.label = 0, label
	return err
}

func (f *fake) Memory() error {
	f.memory, f.mounted = true, true
	return errors.Join(os.Rename(f.dir, f.under), os.Mkdir(f.dir, 0o755))
}

// newBox makes the options of a box, in a directory of its own.
func newBox(t *testing.T, v *fake) Options {
	top := t.TempDir()
	v.dir, v.under = filepath.Join(top, "perm"), filepath.Join(top, "under")
	if err := os.Mkdir(v.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return Options{
		Dir: v.dir, State: filepath.Join(v.dir, "tses"), Loss: filepath.Join(v.dir, "loss"), Log: slog.New(slog.DiscardHandler),
		Now: func() time.Time { return time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC) },
	}
}

// put makes files, with their directories.
func put(t *testing.T, dir string, files ...string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte("x"), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
}

// prepare is Prepare where it has to go well. It returns why the state is lost.
func prepare(t *testing.T, v Volume, o Options) string {
	t.Helper()
	loss, err := Prepare(v, o)
	if err != nil {
		t.Fatal(err)
	}
	if loss == nil {
		return ""
	}
	return loss.Why
}

func TestPrepare(t *testing.T) {
	full := []error{&os.PathError{Op: "open", Path: "/perm/.try", Err: syscall.ENOSPC}}
	for _, tt := range []struct {
		name  string
		v     fake
		files string // of the state directory, with blanks between; "-": none
		kept  string
		lost  string // part of the reason; "" for no loss
		check func(*fake) bool
	}{
		{name: "first start", v: fake{label: sdcard.LabelNew, mounted: true}, files: "-"},
		{name: "first start after a power cut in it", v: fake{label: sdcard.LabelNew, mounted: true}, files: "server.pem"},
		{name: "first start, the second try mounts", v: fake{label: sdcard.LabelNew, failMounts: 1}, files: "-"},
		{name: "used", v: fake{label: sdcard.LabelUsed, mounted: true}, files: "server.pem state.key", kept: "server.pem\nstate.key\n"},
		{name: "more than was kept", v: fake{label: sdcard.LabelUsed, mounted: true}, files: "server.pem state.key new", kept: "server.pem\n"},
		{name: "what older boxes kept", v: fake{label: sdcard.LabelUsed, mounted: true}, files: "server.pem", kept: ".credentials.json.123\nelements\nlock\nserver.pem\nupdate.json\n"},
		{name: "read-only", v: fake{label: sdcard.LabelUsed, mounted: true, readOnly: true}, files: "server.pem"},
		{name: "not mounted yet", v: fake{label: sdcard.LabelUsed, failMounts: 2}, files: "server.pem"},
		{name: "full", v: fake{label: sdcard.LabelUsed, mounted: true, writes: full}, files: "server.pem", kept: "server.pem\n"},
		{name: "full when it is mounted", v: fake{label: sdcard.LabelUsed, failMounts: 1, writes: full}, files: "server.pem"},
		{name: "a transient error", v: fake{label: sdcard.LabelUsed, mounted: true, writes: []error{syscall.EIO, nil}}, files: "server.pem"},
		{name: "no file descriptor for a while", v: fake{label: sdcard.LabelUsed, mounted: true, writes: []error{syscall.EMFILE, syscall.EMFILE, nil}}, files: "server.pem"},
		{name: "repaired", v: fake{label: sdcard.LabelUsed, failMounts: -1, repairable: true}, files: "server.pem", check: func(f *fake) bool { return f.repaired && !f.formatted }},
		{name: "repaired and full", v: fake{label: sdcard.LabelUsed, failMounts: -1, repairable: true, writes: full}, files: "server.pem", check: func(f *fake) bool { return f.repaired && !f.formatted }},
		{name: "sound, and mounted at last", v: fake{label: sdcard.LabelUsed, failMounts: 3}, files: "server.pem"},
		{name: "made anew", v: fake{label: sdcard.LabelUsed, failMounts: -1}, files: "server.pem", lost: "invalid argument", check: func(f *fake) bool { return f.formatted && !f.memory }},
		{name: "made anew, damaged", v: fake{label: sdcard.LabelUsed, failMounts: -1, mountErr: syscall.EUCLEAN}, files: "server.pem", lost: "made anew", check: func(f *fake) bool { return f.formatted }},
		{name: "made anew, a bad checksum", v: fake{label: sdcard.LabelUsed, failMounts: -1, mountErr: syscall.EBADMSG}, files: "server.pem", lost: "made anew", check: func(f *fake) bool { return f.formatted }},
		{name: "first start of a bad image", v: fake{label: sdcard.LabelNew, failMounts: -1}, files: "-", lost: "invalid argument", check: func(f *fake) bool { return f.formatted }},
		{name: "power cut after it was made anew", v: fake{label: sdcard.LabelUsed, mounted: true}, files: "-", lost: "empty"},
		{name: "made anew by somebody", v: fake{label: "", mounted: true}, files: "-", lost: "empty"},
		{name: "a file gone", v: fake{label: sdcard.LabelUsed, mounted: true}, files: "server.pem", kept: "server.pem\nstate.key\n", lost: "state.key is gone"},
		{name: "all elements gone", v: fake{label: sdcard.LabelUsed, mounted: true}, files: "state.key", kept: "elements/ledger\nstate.key\n", lost: "elements/ledger is gone"},
		{name: "all files gone", v: fake{label: sdcard.LabelUsed, mounted: true}, files: "", kept: "server.pem\n", lost: "server.pem is gone"},
		{name: "dead", v: fake{label: sdcard.LabelUsed, failMounts: -1, dead: true}, files: "-", lost: "cannot be written", check: func(f *fake) bool { return f.formatted && f.memory }},
		{name: "dead at the first start", v: fake{label: sdcard.LabelNew, failMounts: -1, dead: true}, files: "-", lost: "cannot be written", check: func(f *fake) bool { return f.memory }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := &tt.v
			o := newBox(t, v)
			if tt.files != "-" {
				put(t, o.State, strings.Fields(tt.files)...)
			}
			if tt.kept != "" {
				if err := os.WriteFile(filepath.Join(o.Dir, keptFile), []byte(tt.kept), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			for _, start := range []string{"this start", "the next"} {
				if why := prepare(t, v, o); (why != "") != (tt.lost != "") || !strings.Contains(why, tt.lost) {
					t.Errorf("%s: lost because of %q, want %q", start, why, tt.lost)
				}
				if v.memory {
					break // the next start would begin with the card
				}
				if v.label == sdcard.LabelNew {
					t.Errorf("%s: label %q", start, v.label)
				}
			}
			if tt.check == nil {
				tt.check = func(f *fake) bool { return !f.repaired && !f.formatted && !f.memory }
			}
			if !tt.check(v) {
				t.Errorf("%+v", v)
			}
		})
	}
}

// What is not for certain a bad file system is never changed: the box goes on
// in memory, with the revocations if they can be read, and the next start finds
// all that was there.
func TestLeftAlone(t *testing.T) {
	for _, tt := range []struct {
		name    string
		v       fake
		mounted bool // and can be read
	}{
		{"found damaged while it is in use", fake{mounted: true, readOnly: true, busy: true}, true},
		{"errors of the card when writing", fake{mounted: true, writes: []error{syscall.EIO}}, true},
		{"errors of the card when mounting", fake{failMounts: -1, mountErr: syscall.EIO, repairable: true}, false},
		{"no such device", fake{failMounts: -1, mountErr: syscall.ENOENT}, false},
		{"busy", fake{failMounts: -1, mountErr: syscall.EBUSY}, false},
		{"no memory for it", fake{failMounts: -1, mountErr: syscall.ENOMEM}, false},
		{"no file descriptor", fake{mounted: true, writes: []error{syscall.EMFILE}}, true},
		{"made read-only by the first write", fake{mounted: true, writes: []error{syscall.EROFS}}, true},
		{"full, and errors of the card", fake{mounted: true, writes: []error{errors.Join(syscall.ENOSPC, syscall.EIO)}}, true},
		{"damage that repair turns into errors of the card", fake{failMounts: 3, writes: []error{syscall.EIO}}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := &tt.v
			v.label = sdcard.LabelUsed
			o := newBox(t, v)
			put(t, o.State, "server.pem", "state.key")
			const registry = `[{"serial": "0123456789"}]`
			if tt.mounted {
				if err := os.WriteFile(filepath.Join(o.State, registryFile), []byte(registry), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if why := prepare(t, v, o); !strings.Contains(why, "cannot be written") {
				t.Errorf("lost because of %q", why)
			}
			if v.formatted || v.repaired || !v.memory {
				t.Errorf("%+v", v)
			}
			if text, err := os.ReadFile(filepath.Join(o.State, registryFile)); tt.mounted && (err != nil || string(text) != registry) {
				t.Errorf("revocations: %q, %v", text, err)
			}
			if err := errors.Join(os.RemoveAll(v.dir), os.Rename(v.under, v.dir)); err != nil {
				t.Fatal(err)
			}
			well := &fake{label: v.label, mounted: true}
			if why := prepare(t, well, o); why != "" {
				t.Errorf("the next start: lost because of %q", why)
			}
			if _, err := os.Stat(filepath.Join(o.State, "state.key")); err != nil {
				t.Error(err)
			}
		})
	}
}

// An update on trial changes nothing of what it does not understand.
func TestTrial(t *testing.T) {
	for _, tt := range []struct {
		name  string
		v     fake
		files []string // nil: there is no state directory
		want  error
	}{
		{"well", fake{mounted: true}, []string{"server.pem", "state.key"}, nil},
		{"full", fake{mounted: true, writes: []error{syscall.ENOSPC}}, []string{"server.pem", "state.key"}, nil},
		{"cannot be mounted", fake{failMounts: -1, repairable: true}, []string{"server.pem", "state.key"}, syscall.EINVAL},
		{"damaged", fake{failMounts: -1, mountErr: syscall.EUCLEAN}, []string{"server.pem", "state.key"}, syscall.EUCLEAN},
		{"cannot be written", fake{mounted: true, writes: []error{syscall.EIO}}, []string{"server.pem", "state.key"}, syscall.EIO},
		{"read-only", fake{mounted: true, readOnly: true, busy: true}, []string{"server.pem", "state.key"}, syscall.EBUSY},
		{"a file is gone", fake{mounted: true}, []string{"server.pem"}, errNewLoss},
		{"all is gone", fake{mounted: true}, nil, errNewLoss},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := &tt.v
			v.label = sdcard.LabelUsed
			o := newBox(t, v)
			o.Trial = true
			if tt.files != nil {
				put(t, o.State, tt.files...)
			}
			if err := os.WriteFile(filepath.Join(o.Dir, keptFile), []byte("server.pem\nstate.key\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			loss, err := Prepare(v, o)
			if loss != nil || !errors.Is(err, tt.want) {
				t.Errorf("got %v, %v; want %v", loss, err, tt.want)
			}
			if v.formatted || v.repaired || v.memory {
				t.Errorf("%+v", v)
			}
			if _, err := os.Stat(o.State); (err == nil) != (tt.files != nil) {
				t.Errorf("the state directory: %v", err)
			}
			if _, err := os.Stat(o.Loss); err == nil {
				t.Error("a loss is recorded")
			}
		})
	}
}

var errCut = errors.New("the power is cut")

// forEachCut runs a start with the power cut at each step, and one that is not
// cut; then check looks at what is left.
func forEachCut(t *testing.T, begin func(t *testing.T) (*fake, Options), check func(t *testing.T, v *fake, o Options)) {
	for at := 1; ; at++ {
		v, o := begin(t)
		steps := 0
		o.cut = func() error {
			if steps++; steps == at {
				return errCut
			}
			return nil
		}
		// A cut leads to memory, of which the next start knows nothing.
		if _, err := Prepare(v, o); err != nil {
			t.Fatal(err)
		}
		if v.memory {
			if err := errors.Join(os.RemoveAll(v.dir), os.Rename(v.under, v.dir)); err != nil {
				t.Fatal(err)
			}
		}
		o.cut = nil
		v = &fake{dir: v.dir, label: v.label, mounted: true}
		check(t, v, o)
		if t.Failed() {
			t.Fatalf("cut at step %d", at)
		}
		if steps < at {
			if at < 4 {
				t.Errorf("%d steps", steps)
			}
			return
		}
	}
}

// A loss that was found once is never forgotten, whenever the power is cut.
func TestLossAndPowerCuts(t *testing.T) {
	for _, tt := range []struct {
		name  string
		v     fake
		files []string
	}{
		{"made anew", fake{label: sdcard.LabelUsed, failMounts: -1}, []string{"server.pem"}},
		{"empty", fake{label: sdcard.LabelUsed, mounted: true}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			forEachCut(t, func(t *testing.T) (*fake, Options) {
				v := tt.v
				o := newBox(t, &v)
				if tt.files != nil {
					put(t, o.State, tt.files...)
				}
				return &v, o
			}, func(t *testing.T, v *fake, o Options) {
				for range 2 {
					if prepare(t, v, o) == "" {
						t.Error("the loss is forgotten")
					}
				}
			})
		})
	}
}

// accepting is a box that has lost its key, and whose owner accepts it.
func accepting(t *testing.T) (*fake, Options, *sdcard.Loss) {
	t.Helper()
	v := &fake{label: sdcard.LabelUsed, mounted: true}
	o := newBox(t, v)
	put(t, o.State, "server.pem", "elements/a.state", "elements/ledger")
	put(t, filepath.Join(o.Dir, "lost-earlier"), "state.key")
	for name, text := range map[string]string{"tses/" + registryFile: `[{"serial": "0123456789"}]`, keptFile: "server.pem\nstate.key\n"} {
		if err := os.WriteFile(filepath.Join(o.Dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	loss, err := Prepare(v, o)
	if err != nil || loss == nil {
		t.Fatalf("%v, %v", loss, err)
	}
	o.Accept = loss.Key()
	return v, o, loss
}

// Once the owner accepts the loss, the box begins anew with nothing but the
// revocations, whenever the power is cut, and the old state is set aside.
func TestAccept(t *testing.T) {
	forEachCut(t, func(t *testing.T) (*fake, Options) {
		v, o, _ := accepting(t)
		return v, o
	}, func(t *testing.T, v *fake, o Options) {
		for range 2 {
			if why := prepare(t, v, o); why != "" {
				t.Errorf("it is accepted, and lost because of %q", why)
			}
		}
		if err := Keep(o); err != nil {
			t.Fatal(err)
		}
		if why := prepare(t, v, o); why != "" {
			t.Errorf("after it has served: lost because of %q", why)
		}
		var names []string
		entries, err := os.ReadDir(o.State)
		for _, e := range entries {
			names = append(names, e.Name())
		}
		if err != nil || !slices.Equal(names, []string{registryFile}) {
			t.Errorf("the new state has %q, %v; want the revocations", names, err)
		}
		aside, err := filepath.Glob(filepath.Join(o.Dir, "lost-*"))
		if err != nil || len(aside) != 1 {
			t.Fatalf("set aside: %q, %v", aside, err)
		}
		if _, err := os.Stat(filepath.Join(aside[0], "elements/a.state")); err != nil {
			t.Errorf("the old state: %v", err)
		}
	})
}

// Only the loss that it names is accepted, and nothing of a registry that
// cannot be understood is taken along.
func TestAcceptOther(t *testing.T) {
	v, o, loss := accepting(t)
	o.Accept = sdcard.Loss{Time: loss.Time.Add(time.Microsecond)}.Key()
	if prepare(t, v, o) == "" {
		t.Error("another loss was accepted")
	}
	for _, text := range []string{"", "[", "null", `{"serial": 1}`} {
		v, o, _ := accepting(t)
		path := filepath.Join(o.State, registryFile)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if why := prepare(t, v, o); why != "" {
			t.Errorf("%q: lost because of %q", text, why)
		}
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%q: taken along, %v", text, err)
		}
	}
	v, o, _ = accepting(t)
	path := filepath.Join(o.State, registryFile)
	if err := errors.Join(os.Remove(path), syscall.Mkfifo(path, 0o600)); err != nil {
		t.Fatal(err)
	}
	if why := prepare(t, v, o); why != "" {
		t.Errorf("a pipe: lost because of %q", why)
	}
}

// What stands in the state directory in the place of a record, of an older box
// or of a TSES gone mad, is taken over and stops nothing.
func TestClaim(t *testing.T) {
	old := sdcard.Loss{Time: time.Date(2026, 5, 1, 2, 3, 4, 0, time.UTC), Why: "an older box says so"}
	for _, tt := range []struct {
		name  string
		place func(state string) error
		want  string
	}{
		{"an older box's", func(state string) error { return sdcard.RecordLoss(state, old) }, old.Why},
		{"a directory", func(state string) error { return os.MkdirAll(filepath.Join(state, sdcard.LostFile, "x"), 0o700) }, "cannot be read"},
		{"a pipe", func(state string) error { return syscall.Mkfifo(filepath.Join(state, sdcard.LostFile), 0o600) }, "cannot be read"},
		{"in the way of a record", func(state string) error {
			return os.MkdirAll(filepath.Join(state, sdcard.LostFile+".tmp", "x"), 0o700)
		}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := &fake{label: sdcard.LabelUsed, mounted: true}
			o := newBox(t, v)
			put(t, o.State, "server.pem")
			if err := tt.place(o.State); err != nil {
				t.Fatal(err)
			}
			var key string
			for range 2 {
				loss, err := Prepare(v, o)
				if err != nil || (loss != nil) != (tt.want != "") || loss != nil && !strings.Contains(loss.Why, tt.want) {
					t.Fatalf("got %v, %v; want %q", loss, err, tt.want)
				}
				if loss == nil {
					return
				}
				if key != "" && loss.Key() != key {
					t.Errorf("another loss each time: %s, %s", key, loss.Key())
				}
				key = loss.Key()
			}
			if tt.name == "an older box's" && key != old.Key() {
				t.Errorf("key %s, want %s", key, old.Key())
			}
			// The TSES cannot take it back.
			if err := os.RemoveAll(filepath.Join(o.State, sdcard.LostFile)); err != nil {
				t.Fatal(err)
			}
			if prepare(t, v, o) == "" {
				t.Error("the loss is forgotten")
			}
			o.Accept = key
			for range 2 {
				if why := prepare(t, v, o); why != "" {
					t.Errorf("accepted, and lost because of %q", why)
				}
			}
		})
	}
}

// An update on trial takes a claim over, and leaves it where the version looks
// for it that it may be taken back to.
func TestClaimOnTrial(t *testing.T) {
	v := &fake{label: sdcard.LabelUsed, mounted: true}
	o := newBox(t, v)
	o.Trial = true
	put(t, o.State, "server.pem")
	if err := sdcard.RecordLoss(o.State, sdcard.NewLoss(o.Now(), "claimed")); err != nil {
		t.Fatal(err)
	}
	if prepare(t, v, o) == "" {
		t.Error("no loss")
	}
	if l, err := sdcard.ReadLoss(o.State); l == nil || err != nil {
		t.Errorf("in the old place: %v, %v", l, err)
	}
}

// A loss that cannot be recorded stops nothing, and is found again.
func TestLossCannotBeRecorded(t *testing.T) {
	for name, place := range map[string]func(o Options) error{
		"a file in the place of the directory": func(o Options) error { return os.WriteFile(o.Loss, nil, 0o600) },
		"a directory that cannot be replaced": func(o Options) error {
			return os.MkdirAll(filepath.Join(o.Loss, sdcard.LostFile+".tmp", "x"), 0o755)
		},
	} {
		for _, files := range [][]string{nil, {"server.pem"}} {
			v := &fake{label: sdcard.LabelUsed, mounted: true}
			o := newBox(t, v)
			if files != nil {
				put(t, o.State, files...)
			}
			if err := errors.Join(place(o), os.WriteFile(filepath.Join(o.Dir, keptFile), []byte("state.key\n"), 0o600)); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if prepare(t, v, o) == "" {
					t.Errorf("%s, %q: no loss", name, files)
				}
				if files == nil && !v.memory {
					t.Errorf("%s: the state directory is made, and the loss not recorded", name)
				}
				if v.memory {
					if err := errors.Join(os.RemoveAll(v.dir), os.Rename(v.under, v.dir)); err != nil {
						t.Fatal(err)
					}
					v.memory = false
				} else {
					put(t, o.State, "state.key") // the TSES makes another one
				}
			}
		}
	}
}

func TestKeep(t *testing.T) {
	v := &fake{label: sdcard.LabelNew, mounted: true}
	o := newBox(t, v)
	prepare(t, v, o)
	passing := []string{"lock", "x.tmp", ".credentials.json.123", "credentials.json.lock", "update.json", "elements/a.state.lock", "elements/a.state.tmp", "elements/b.state"}
	put(t, o.State, append(passing, "server.pem", "state.key", "elements/a.state", "elements/ledger")...)
	if err := Keep(o); err != nil {
		t.Fatal(err)
	}
	for _, name := range passing {
		if err := os.Remove(filepath.Join(o.State, name)); err != nil {
			t.Fatal(err)
		}
	}
	if why := prepare(t, v, o); why != "" {
		t.Errorf("a loss of files that come and go: %s", why)
	}
	for _, name := range []string{"server.pem", "state.key"} {
		if err := os.Remove(filepath.Join(o.State, name)); err != nil {
			t.Fatal(err)
		}
		// It serves on for a while.
		if err := Keep(o); err != nil {
			t.Fatal(err)
		}
	}
	loss, err := Prepare(v, o)
	if err != nil || loss == nil {
		t.Fatalf("no loss although the key is gone: %v", err)
	}
	if err := os.Remove(filepath.Join(o.Dir, keptFile)); err != nil {
		t.Fatal(err)
	}
	if err := Keep(o); err != nil {
		t.Fatal(err)
	}
	if kept, err := os.ReadFile(filepath.Join(o.Dir, keptFile)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("while a loss is not accepted: kept %q, %v", kept, err)
	}
	// The owner accepts it; the TSES makes a new one and serves.
	o.Accept = loss.Key()
	prepare(t, v, o)
	put(t, o.State, "state.key")
	if err := Keep(o); err != nil {
		t.Fatal(err)
	}
	if why := prepare(t, v, o); why != "" {
		t.Errorf("a loss after it was accepted: %s", why)
	}
}

func TestDeviceBeside(t *testing.T) {
	sys := t.TempDir()
	disk := filepath.Join(sys, "devices/mmc0/block/mmcblk0")
	for name, n := range map[string]string{"mmcblk0p1": "1", "mmcblk0p2": "2", "mmcblk0p4": "4", "mmcblk0p14": "14"} {
		if err := os.MkdirAll(filepath.Join(disk, name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(disk, name, "partition"), []byte(n+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(sys, "dev/block"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(disk, "mmcblk0p2"), filepath.Join(sys, "dev/block/179:2")); err != nil {
		t.Fatal(err)
	}
	if got, err := deviceBeside(sys, 179, 2); got != "/dev/mmcblk0p4" || err != nil {
		t.Errorf("got %s, %v", got, err)
	}
	if got, err := deviceBeside(sys, 8, 1); err == nil {
		t.Errorf("of another disk: %s", got)
	}
}
