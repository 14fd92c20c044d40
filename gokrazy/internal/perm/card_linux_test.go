package perm

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cloud-of-se/tses/gokrazy/internal/ext4"
	"github.com/cloud-of-se/tses/gokrazy/sdcard"
	"github.com/cloud-of-se/tses/internal/needs"
)

// newCard makes a card of a file, with a file system that is in use.
func newCard(t *testing.T) (Card, Options) {
	t.Helper()
	if os.Getuid() != 0 {
		needs.Missing(t, "needs root, to mount")
	}
	dir := t.TempDir()
	disk := filepath.Join(dir, "disk")
	f, err := os.Create(disk)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Truncate(ext4.MinSize), ext4.Format(f, ext4.Options{Size: ext4.MinSize, Label: sdcard.LabelUsed, Time: time.Now(), Zeroed: true}), f.Close()); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("losetup", "-f", "--show", disk).CombinedOutput()
	if err != nil {
		needs.Missing(t, "needs a loop device: "+string(out))
	}
	c := Card{Device: strings.TrimSpace(string(out)), Dir: filepath.Join(dir, "perm")}
	t.Cleanup(func() {
		// Where a test has failed it may be mounted, or twice.
		for c.Unmount() == nil {
		}
		if out, err := exec.Command("losetup", "-d", c.Device).CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	})
	if err := os.Mkdir(c.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return c, Options{Dir: c.Dir, State: filepath.Join(c.Dir, "tses"), Loss: filepath.Join(c.Dir, "loss"), Log: slog.New(slog.DiscardHandler), Now: time.Now}
}

// A card whose file system is full, and in use, stays as it is; and nothing
// formats what is mounted.
func TestCardFull(t *testing.T) {
	c, o := newCard(t)
	if err := c.Mount(); err != nil {
		needs.Missing(t, "needs to mount: "+err.Error())
	}
	put(t, o.State, "state.key")
	var err error
	for n := 0; err == nil; n++ { // until there is no inode left
		err = os.WriteFile(filepath.Join(o.State, fmt.Sprint("fill", n)), nil, 0o600)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	if err := c.TryWrite(); !full(err) {
		t.Errorf("TryWrite = %v, want that it is full", err)
	}
	if err := c.Format(sdcard.LabelUsed); !errors.Is(err, syscall.EBUSY) {
		t.Errorf("Format of what is mounted = %v, want EBUSY", err)
	}
	if err := c.Repair(); !errors.Is(err, syscall.EBUSY) {
		t.Errorf("Repair of what is mounted = %v, want EBUSY", err)
	}
	if loss, err := Prepare(c, o); loss != nil || err != nil {
		t.Errorf("Prepare = %v, %v", loss, err)
	}
	if err := errors.Join(c.Unmount(), c.Mount()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(o.State, "state.key")); err != nil {
		t.Error(err)
	}
}

// What was overwritten is made anew, and a second start tells of it too.
func TestCardDestroyed(t *testing.T) {
	c, o := newCard(t)
	f, err := os.OpenFile(c.Device, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(f, strings.NewReader(strings.Repeat("x", 1<<20)))
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if why := prepare(t, c, o); !strings.Contains(why, "made anew") {
			t.Errorf("lost because of %q", why)
		}
		if err := c.Unmount(); err != nil {
			t.Fatal(err)
		}
	}
}

// A file system that is mounted read-only and in use is covered by memory.
func TestCardReadOnly(t *testing.T) {
	c, o := newCard(t)
	if err := c.Mount(); err != nil {
		needs.Missing(t, "needs to mount: "+err.Error())
	}
	put(t, o.State, "state.key")
	if err := syscall.Mount("", c.Dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	inUse, err := os.Open(filepath.Join(o.State, "state.key"))
	if err != nil {
		t.Fatal(err)
	}
	defer inUse.Close()
	if why := prepare(t, c, o); !strings.Contains(why, "cannot be written") {
		t.Errorf("lost because of %q", why)
	}
	if mounted, writable, err := c.Mounted(); !mounted || !writable || err != nil {
		t.Errorf("in memory: %v, %v, %v", mounted, writable, err)
	}
	if err := errors.Join(c.Unmount(), inUse.Close(), c.Unmount(), c.Mount()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(o.State, "state.key")); err != nil {
		t.Error(err)
	}
}
