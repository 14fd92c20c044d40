package perm

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cloud-of-se/tses/gokrazy/sdcard"
)

// fake is a volume that a directory stands for.
type fake struct {
	dir, label          string
	mounted, readOnly   bool
	failMounts          int  // how often mounting fails; negative: until it is repaired or made anew
	repairable, dead    bool // dead: nothing can be written
	repaired, formatted bool
	memory              bool
}

var errDamaged = errors.New("damaged")

func (f *fake) Mount() error {
	if f.failMounts != 0 {
		f.failMounts--
		return errDamaged
	}
	f.mounted, f.readOnly = true, false
	return nil
}

func (f *fake) Unmount() error { f.mounted = false; return nil }

func (f *fake) Mounted() (bool, bool, error) { return f.mounted, f.mounted && !f.readOnly, nil }

func (f *fake) Label() (string, error) { return f.label, nil }

func (f *fake) SetLabel(label string) error { f.label = label; return nil }

func (f *fake) Repair() error {
	if !f.repairable {
		return errDamaged
	}
	f.repaired, f.failMounts = true, 0
	return nil
}

func (f *fake) Format(label string) error {
	if f.dead {
		return errDamaged
	}
	entries, err := os.ReadDir(f.dir)
	for _, e := range entries {
		err = errors.Join(err, os.RemoveAll(filepath.Join(f.dir, e.Name())))
	}
	f.formatted, f.failMounts, f.label = true, 0, label
	return err
}

func (f *fake) Memory() error { f.memory, f.mounted = true, true; return nil }

func TestPrepare(t *testing.T) {
	now := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
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
		{name: "read-only", v: fake{label: sdcard.LabelUsed, mounted: true, readOnly: true}, files: "server.pem"},
		{name: "not mounted yet", v: fake{label: sdcard.LabelUsed, failMounts: 2}, files: "server.pem"},
		{name: "repaired", v: fake{label: sdcard.LabelUsed, failMounts: -1, repairable: true}, files: "server.pem", check: func(f *fake) bool { return f.repaired && !f.formatted }},
		{name: "made anew", v: fake{label: sdcard.LabelUsed, failMounts: -1}, files: "server.pem", lost: "damaged", check: func(f *fake) bool { return f.formatted }},
		{name: "first start of a bad image", v: fake{label: sdcard.LabelNew, failMounts: -1}, files: "-", lost: "damaged"},
		{name: "power cut after it was made anew", v: fake{label: sdcard.LabelUsed, mounted: true}, files: "-", lost: "empty"},
		{name: "made anew by somebody", v: fake{label: "", mounted: true}, files: "-", lost: "empty"},
		{name: "a file gone", v: fake{label: sdcard.LabelUsed, mounted: true}, files: "server.pem", kept: "server.pem\nstate.key\n", lost: "state.key is gone"},
		{name: "all files gone", v: fake{label: sdcard.LabelUsed, mounted: true}, files: "", kept: "server.pem\n", lost: "server.pem is gone"},
		{name: "dead", v: fake{label: sdcard.LabelUsed, failMounts: -1, dead: true}, files: "-", lost: "cannot be written", check: func(f *fake) bool { return f.memory }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			o := Options{Dir: dir, State: filepath.Join(dir, "tses"), Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return now }}
			if tt.files != "-" {
				if err := os.Mkdir(o.State, 0o700); err != nil {
					t.Fatal(err)
				}
				for _, name := range strings.Fields(tt.files) {
					if err := os.WriteFile(filepath.Join(o.State, name), []byte("x"), 0o600); err != nil {
						t.Fatal(err)
					}
				}
			}
			if tt.kept != "" {
				if err := os.WriteFile(filepath.Join(dir, keptFile), []byte(tt.kept), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			v := &tt.v
			v.dir = dir
			for _, start := range []string{"this start", "the next"} {
				if err := Prepare(v, o); err != nil {
					t.Fatalf("%s: %v", start, err)
				}
				loss, err := sdcard.ReadLoss(o.State)
				if err != nil || (loss != nil) != (tt.lost != "") || loss != nil && !strings.Contains(loss.Why, tt.lost) {
					t.Errorf("%s: loss %+v, %v; want %q", start, loss, err, tt.lost)
				}
				if v.label != sdcard.LabelUsed && v.label != "" {
					t.Errorf("%s: label %q", start, v.label)
				}
			}
			if tt.check != nil && !tt.check(v) {
				t.Errorf("%+v", v)
			}
		})
	}
}

func TestKeep(t *testing.T) {
	dir := t.TempDir()
	o := Options{Dir: dir, State: filepath.Join(dir, "tses"), Log: slog.New(slog.DiscardHandler), Now: time.Now}
	v := &fake{dir: dir, label: sdcard.LabelNew, mounted: true}
	if err := Prepare(v, o); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"server.pem", "state.key", "lock", "x.tmp"} {
		if err := os.WriteFile(filepath.Join(o.State, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := Keep(o); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"lock", "x.tmp"} { // may go
		if err := os.Remove(filepath.Join(o.State, name)); err != nil {
			t.Fatal(err)
		}
	}
	lost := func() bool {
		t.Helper()
		if err := Prepare(v, o); err != nil {
			t.Fatal(err)
		}
		l, err := sdcard.ReadLoss(o.State)
		if err != nil {
			t.Fatal(err)
		}
		return l != nil
	}
	if lost() {
		t.Error("a loss of files that come and go")
	}
	if err := os.Remove(filepath.Join(o.State, "state.key")); err != nil {
		t.Fatal(err)
	}
	if !lost() {
		t.Error("no loss although the key is gone")
	}
	if err := Keep(o); err != nil {
		t.Fatal(err)
	}
	// The owner accepts it; the TSES makes a new one and serves.
	if err := errors.Join(sdcard.AcceptLoss(o.State), os.WriteFile(filepath.Join(o.State, "state.key"), nil, 0o600), Keep(o)); err != nil {
		t.Fatal(err)
	}
	if lost() {
		t.Error("a loss after it was accepted")
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
