// Package perm sees to it that the box has /perm, the file system that can be
// written, and notices when what was on it is lost.
//
// # Repair
//
// The kernel's own repair, the journal, is all that a power cut needs. Where
// the file system cannot be mounted, or not for writing, it is tried again;
// then its first superblock is taken for what is damaged and replaced by its
// copy; and at last the file system is made anew, with a loud warning. Where
// even that fails, as on a card that has died, /perm is in memory until the box
// is switched off, so that it can say so and its chips can be used.
//
// # Loss
//
// An image that starts for the first time has a file system with the label
// [sdcard.LabelNew] and nothing on it. The first start makes the state
// directory and then changes the label to [sdcard.LabelUsed]. So a file system
// with that label and without that directory has lost what was on it, and so
// has one that had to be made anew: it gets the same label before anything
// else. Which files the TSES keeps is written down once it has served; one of
// them that is gone is a loss too. The loss is recorded with [sdcard.RecordLoss],
// and what follows from it is the TSES's to decide.
package perm

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/cloud-of-se/tses/gokrazy/sdcard"
)

// Volume is /perm and what it is on. [Card] has the real one; tests bring
// others.
type Volume interface {
	// Mount mounts the file system for reading and writing.
	Mount() error
	Unmount() error
	// Mounted tells whether it is mounted, and whether it can be written.
	Mounted() (mounted, writable bool, err error)
	// Label is the label of the file system, mounted or not.
	Label() (string, error)
	// SetLabel changes it while the file system is mounted.
	SetLabel(string) error
	// Repair puts the copy of the superblock in its place.
	Repair() error
	// Format makes a new file system.
	Format(label string) error
	// Memory mounts one in memory.
	Memory() error
}

// Options say where things are.
type Options struct {
	Dir   string // "/perm"
	State string // the state directory, in Dir
	Log   *slog.Logger
	Pause time.Duration // between two tries to mount
	Now   func() time.Time
}

// tries is how often it is tried to mount what should be there.
const tries = 3

// Prepare makes /perm usable, and records a loss. An error says that the box
// has no place for its state at all.
func Prepare(v Volume, o Options) error {
	why, err := mount(v, o)
	if err != nil {
		return fmt.Errorf("%s: %w", o.Dir, err)
	}
	if why == "" {
		if why, err = missing(v, o); err != nil {
			return fmt.Errorf("%s: %w", o.Dir, err)
		}
	}
	if err := mkdirSynced(o.State); err != nil {
		return fmt.Errorf("state directory: %w", err)
	}
	if why != "" {
		o.Log.Error("THE STATE OF THIS BOX IS LOST", "why", why)
		if err := sdcard.RecordLoss(o.State, sdcard.Loss{Time: o.Now(), Why: why}); err != nil {
			return err
		}
	}
	// Now the directory is on the card, and its absence would tell of a loss.
	if label, err := v.Label(); err == nil && label == sdcard.LabelNew {
		o.Log.Info("this card starts for the first time", "volume", o.Dir)
		if err := v.SetLabel(sdcard.LabelUsed); err != nil {
			return fmt.Errorf("%s: label: %w", o.Dir, err)
		}
	}
	return nil
}

// mount mounts /perm by one means after the other. why is the loss that the
// last ones are.
func mount(v Volume, o Options) (why string, err error) {
	for try := range tries {
		if err = usable(v, o); err == nil {
			return "", nil
		}
		o.Log.Warn("permanent storage cannot be used", "volume", o.Dir, "try", try+1, "of", tries, "err", err)
		if try > 0 {
			time.Sleep(o.Pause)
		}
	}
	first := err
	if err = v.Repair(); err == nil {
		err = usable(v, o)
	}
	if err == nil {
		o.Log.Warn("the file system was repaired with the copy of its superblock", "volume", o.Dir)
		return "", nil
	}
	o.Log.Error("permanent storage is beyond repair, IT IS MADE ANEW and all that was on it is lost", "volume", o.Dir, "err", err)
	if err = v.Format(sdcard.LabelUsed); err == nil {
		err = usable(v, o)
	}
	if err == nil {
		return fmt.Sprintf("permanent storage could not be mounted (%v) and was made anew", first), nil
	}
	o.Log.Error("THE SD CARD CANNOT BE WRITTEN, replace it; until the box is switched off its state is in memory", "err", err)
	if err := v.Memory(); err != nil {
		return "", err
	}
	return fmt.Sprintf("the SD card cannot be written (%v); what is kept now is gone when the box is switched off", err), nil
}

// usable tells why /perm cannot be written, after it has tried to mount it.
func usable(v Volume, o Options) error {
	mounted, writable, err := v.Mounted()
	if err != nil {
		return err
	}
	if mounted && !writable {
		// The kernel does so when it finds damage.
		if err := v.Unmount(); err != nil {
			return fmt.Errorf("it is mounted read-only: %w", err)
		}
		mounted = false
	}
	if !mounted {
		if err := v.Mount(); err != nil {
			return err
		}
	}
	return writes(o.Dir)
}

// writes tries it.
func writes(dir string) error {
	f, err := os.CreateTemp(dir, ".try-*")
	if err != nil {
		return err
	}
	_, err = f.Write([]byte("TSES"))
	return errors.Join(err, f.Sync(), f.Close(), os.Remove(f.Name()))
}

// keptFile lists the files of the state directory that have to be there.
const keptFile = "kept"

// missing tells what a file system that is mounted should have and has not.
func missing(v Volume, o Options) (why string, err error) {
	label, err := v.Label()
	if err != nil {
		return "", err
	}
	if label == sdcard.LabelNew {
		return "", nil
	}
	if _, err := os.Stat(o.State); errors.Is(err, fs.ErrNotExist) {
		return "permanent storage is empty", nil
	} else if err != nil {
		return "", err
	}
	kept, err := os.ReadFile(filepath.Join(o.Dir, keptFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	for _, name := range strings.Fields(string(kept)) {
		if _, err := os.Lstat(filepath.Join(o.State, name)); errors.Is(err, fs.ErrNotExist) {
			return fmt.Sprintf("%s is gone from permanent storage", name), nil
		}
	}
	return "", nil
}

// Keep writes down which files the state directory has now that the TSES
// serves. While a loss is not accepted, nothing is kept.
func Keep(o Options) error {
	entries, err := os.ReadDir(o.State)
	if err != nil {
		return fmt.Errorf("state directory: %w", err)
	}
	var names []string
	for _, e := range entries {
		if name := e.Name(); strings.HasSuffix(name, ".tmp") || strings.HasSuffix(name, ".part") || name == "lock" || strings.ContainsAny(name, " \t\r\n") {
			continue // not for ever
		} else if name == sdcard.LostFile {
			return nil
		}
		names = append(names, e.Name())
	}
	path := filepath.Join(o.Dir, keptFile)
	old, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if slices.Equal(strings.Fields(string(old)), names) {
		return nil
	}
	return writeSynced(path, strings.Join(names, "\n")+"\n")
}

func writeSynced(path, text string) error {
	f, err := os.OpenFile(path+".tmp", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// mkdirSynced makes a directory that is there after a power cut.
func mkdirSynced(path string) error {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
