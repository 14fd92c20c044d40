// Package perm sees to it that the box has /perm, the file system that can be
// written, and notices when what was on it is lost.
//
// # Repair
//
// The kernel's own repair, the journal, is all that a power cut needs. Where
// the file system cannot be mounted, or not for writing, it is tried again.
//
// Only where the kernel says of what is on the card that it is no file system,
// or a damaged one, is anything changed: its first superblock is taken for what
// is damaged and replaced by its copy, and where that does not help the file
// system is made anew, with a loud warning. While anything is mounted there,
// neither is done.
//
// A file system that is full is good, and is said to be full. Everything else,
// such as a card that gives errors, or one that was found damaged while it is
// in use, is left as it is for the next start: /perm is in memory until the box
// is switched off, so that it can say so and its chips can be used.
//
// An update on trial ([Options].Trial) does none of this. It fails, and the box
// restarts into what it was, which can.
//
// # Loss
//
// An image that starts for the first time has a file system with the label
// [sdcard.LabelNew] and nothing on it. The first start makes the state
// directory and then changes the label to [sdcard.LabelUsed]. So a file system
// with that label and without that directory has lost what was on it, and so
// has one that had to be made anew: it gets the same label before anything
// else. Which files the TSES keeps is written down once it has served; one of
// them that is gone is a loss too, and so is what the TSES itself has claimed
// in its state directory.
//
// The loss is recorded in [Options].Loss, out of the TSES's reach, before there
// is a state directory again: a power cut in between finds the loss once more.
// It holds until the owner accepts it. Then the state directory is set aside as
// a whole, and another begun with nothing but the revocations.
package perm

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
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
	// TryWrite writes something to what is mounted, and takes it away again.
	TryWrite() error
	// Label is the label of the file system, mounted or not.
	Label() (string, error)
	// SetLabel changes it while the file system is mounted.
	SetLabel(string) error
	// Repair puts the copy of the superblock in its place.
	Repair() error
	// Format makes a new file system.
	Format(label string) error
	// Memory mounts one in memory, over what is mounted.
	Memory() error
}

// Options say where things are.
type Options struct {
	Dir    string // "/perm"
	State  string // the state directory, in Dir; the TSES's
	Loss   string // the directory for the record of a loss, in Dir; the first process's
	Accept string // the loss that the owner accepts, by its key
	Trial  bool   // this start is that of an update on trial
	Log    *slog.Logger
	Pause  time.Duration // between two tries to mount
	Now    func() time.Time

	cut func() error // for tests: fails where the power is cut; nil: it is not
}

// step is where the power may be cut.
func (o Options) step() error {
	if o.cut == nil {
		return nil
	}
	return o.cut()
}

// tries is how often it is tried to mount what should be there.
const tries = 3

// Prepare makes /perm usable, and returns the loss that is not accepted, nil
// for none. An error says that the box has no place for its state at all, or
// that an update on trial has found what it must not touch.
func Prepare(v Volume, o Options) (*sdcard.Loss, error) {
	why, err := mount(v, o)
	if err == nil {
		var loss *sdcard.Loss
		if loss, err = settle(v, o, why); err == nil {
			return loss, nil
		}
	}
	if o.Trial {
		return nil, fmt.Errorf("%s: %w; an update on trial leaves it alone, the box restarts into what it was", o.Dir, err)
	}
	return inMemory(v, o, err)
}

// The reasons for which /perm is not usable.
var (
	errMount   = errors.New("it cannot be mounted")
	errMounted = errors.New("it is mounted")
)

// damaged tells whether the kernel has said, of what it was to mount, that it
// is no file system or not a sound one: EUCLEAN and EBADMSG are ext4's
// EFSCORRUPTED and EFSBADCRC.
func damaged(err error) bool {
	return errors.Is(err, errMount) && (errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.EUCLEAN) || errors.Is(err, syscall.EBADMSG))
}

// mount mounts /perm by one means after the other. why is the loss that the
// last one is.
func mount(v Volume, o Options) (why string, err error) {
	for try := range tries {
		if try > 0 {
			time.Sleep(o.Pause)
		}
		if err = usable(v, o); err == nil {
			return "", nil
		}
		o.Log.Warn("permanent storage cannot be used", "volume", o.Dir, "try", try+1, "of", tries, "err", err)
	}
	if o.Trial || !damaged(err) {
		return "", err
	}
	first := err
	repaired := v.Repair()
	if err = usable(v, o); err == nil {
		if repaired == nil {
			o.Log.Warn("the file system was repaired with the copy of its superblock", "volume", o.Dir)
		}
		return "", nil
	}
	if !damaged(err) {
		return "", err
	}
	if mounted, _, err := v.Mounted(); err != nil || mounted {
		return "", errors.Join(errMounted, err)
	}
	o.Log.Error("permanent storage is beyond repair, IT IS MADE ANEW and all that was on it is lost", "volume", o.Dir, "err", err, "repair", repaired)
	if err = v.Format(sdcard.LabelUsed); err == nil {
		err = usable(v, o)
	}
	if err != nil {
		return "", fmt.Errorf("it was to be made anew: %w", err)
	}
	return fmt.Sprintf("permanent storage could not be mounted (%v) and was made anew", first), nil
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
			return fmt.Errorf("%w: %w", errMount, err)
		}
	}
	err = v.TryWrite()
	if full(err) {
		o.Log.Error("PERMANENT STORAGE IS FULL: changes of software SEs, revocations and the log cannot be saved; make a new card", "volume", o.Dir, "err", err)
		return nil
	}
	return err
}

func full(err error) bool {
	return (errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)) && !errors.Is(err, syscall.EIO) && !errors.Is(err, syscall.EROFS)
}

// registryFile says which credentials are revoked. It is what a state that
// begins anew takes along, for none of them may come in again.
const registryFile = "credentials.json"

// inMemory lets the box serve what it can without its card, which is not
// changed: the next start may find it sound.
func inMemory(v Volume, o Options, cause error) (*sdcard.Loss, error) {
	o.Log.Error("THE SD CARD CANNOT BE WRITTEN, replace it; until the box is switched off its state is in memory", "volume", o.Dir, "err", cause)
	registry := readRegistry(o.State) // it may be mounted for reading
	err := v.Memory()
	if err == nil {
		err = os.MkdirAll(o.State, 0o700)
	}
	if err == nil && registry != nil {
		err = os.WriteFile(filepath.Join(o.State, registryFile), registry, 0o600)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.Dir, errors.Join(cause, err))
	}
	loss := sdcard.NewLoss(o.Now(), fmt.Sprintf("the SD card cannot be written (%v); what is kept now is gone when the box is switched off", cause))
	return &loss, nil
}

// settle looks for a loss, records it, and makes sure of the state directory.
func settle(v Volume, o Options, why string) (*sdcard.Loss, error) {
	label, err := v.Label()
	if err != nil {
		o.Log.Warn("permanent storage has no label that can be read; it is taken for one that was used", "volume", o.Dir, "err", err)
		label = sdcard.LabelUsed
	}
	if why == "" && label != sdcard.LabelNew {
		if why, err = missing(o); err != nil {
			return nil, err
		}
	}
	loss, err := o.judge(why)
	if err != nil {
		return nil, err
	}
	if err := mkdirSynced(o.State); err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	if err := o.step(); err != nil {
		return nil, err
	}
	if loss != nil && loss.Key() == o.Accept {
		if err := o.accept(*loss); err != nil {
			o.Log.Error("the loss of this box's state cannot be accepted; the next start tries again", "found", loss.Key(), "err", err)
			return loss, o.step()
		}
		loss = nil
	}
	// Now the directory is on the card, and its absence would tell of a loss.
	if label == sdcard.LabelNew {
		o.Log.Info("this card starts for the first time", "volume", o.Dir)
		if err := v.SetLabel(sdcard.LabelUsed); err != nil {
			o.Log.Error("a loss of what this box keeps would not be noticed at the next start, which tries again", "volume", o.Dir, "err", err)
		}
	}
	return loss, nil
}

// errNewLoss says that an update on trial has found a loss, which is for the
// root file system to record that stays.
var errNewLoss = errors.New("state is lost")

// judge returns the loss that holds: the recorded one, the one that the TSES
// has claimed, or the one that was found now, for which why is the reason.
func (o Options) judge(why string) (*sdcard.Loss, error) {
	loss, err := sdcard.ReadLoss(o.Loss)
	if err != nil {
		return nil, err
	}
	if loss != nil && !loss.Time.IsZero() {
		return loss, nil
	}
	if loss == nil {
		// In older boxes this was the place of the record.
		if loss, err = sdcard.ReadLoss(o.State); err != nil {
			return nil, err
		}
	}
	switch {
	case loss == nil && why == "":
		return nil, nil
	case loss == nil && o.Trial:
		return nil, fmt.Errorf("%w: %s", errNewLoss, why)
	case loss == nil || loss.Time.IsZero():
		if loss != nil {
			why = loss.Why
		}
		l := sdcard.NewLoss(o.Now(), why)
		loss = &l
	}
	o.Log.Error("THE STATE OF THIS BOX IS LOST", "found", loss.Key(), "why", loss.Why)
	return loss, o.record(*loss)
}

// record writes the loss down, so that it is there at the next start. Where that
// fails and there is no state directory, it must not be made: its absence tells
// of the loss as well.
func (o Options) record(loss sdcard.Loss) error {
	if err := o.step(); err != nil {
		return err
	}
	err := sdcard.RecordLoss(o.Loss, loss)
	if err == nil {
		if o.Trial { // what it may be taken back to looks in the old place
			return o.step()
		}
		if err := sdcard.RemoveLoss(o.State); err != nil {
			o.Log.Warn("what the TSES has claimed stays where it was", "err", err)
		}
		return o.step()
	}
	if _, gone := os.Lstat(o.State); errors.Is(gone, fs.ErrNotExist) {
		return err
	}
	o.Log.Error("the loss of this box's state cannot be recorded, and might not be known at the next start", "err", err)
	// This place is the TSES's, and better than none.
	if err := sdcard.RecordLoss(o.State, loss); err != nil {
		o.Log.Error("nor can it be recorded in the state directory", "err", err)
	}
	return o.step()
}

// asidePrefix begins the name of a state directory that was set aside.
const asidePrefix = "lost-"

// accept sets the state aside and begins another. The record is removed last:
// whatever is cut short is done again.
func (o Options) accept(loss sdcard.Loss) error {
	o.Log.Warn("the loss of this box's state is accepted, software SEs begin anew", "found", loss.Key(), "why", loss.Why)
	aside := filepath.Join(o.Dir, asidePrefix+loss.Key())
	if _, err := os.Lstat(aside); errors.Is(err, fs.ErrNotExist) {
		// One is kept, for somebody who can make something of it.
		old, err := filepath.Glob(filepath.Join(o.Dir, asidePrefix+"*"))
		for _, path := range old {
			err = errors.Join(err, os.RemoveAll(path))
		}
		if err != nil {
			return err
		}
		if err := errors.Join(os.Rename(o.State, aside), syncDir(o.Dir), o.step()); err != nil {
			return err
		}
	}
	if err := errors.Join(mkdirSynced(o.State), o.step()); err != nil {
		return err
	}
	path := filepath.Join(o.State, registryFile)
	if registry := readRegistry(aside); registry != nil {
		if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
			if err := errors.Join(writeSynced(path, registry, 0o600), o.step()); err != nil {
				return err
			}
		}
	}
	if err := os.Remove(filepath.Join(o.Dir, keptFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := errors.Join(syncDir(o.Dir), o.step()); err != nil {
		return err
	}
	return errors.Join(sdcard.RemoveLoss(o.Loss), o.step())
}

// maxRegistry bounds what is read of the TSES's files.
const maxRegistry = 4 << 20

// readRegistry reads the registry of credentials in a state directory, nil
// where there is none of use. The directory is the TSES's: what is not a file
// is not read.
func readRegistry(state string) []byte {
	path := filepath.Join(state, registryFile)
	info, err := os.Lstat(path)
	if err != nil || !info.Mode().IsRegular() || info.Size() > maxRegistry {
		return nil
	}
	text, err := os.ReadFile(path)
	var entries []struct {
		Serial string `json:"serial"`
	}
	if err != nil || json.Unmarshal(text, &entries) != nil || entries == nil {
		return nil
	}
	return text
}

// keptFile lists the files of the state directory that have to be there.
const keptFile = "kept"

// lasting are the files that are there for good once the TSES has made them.
// Others come and go. Whether the state of each software SE is there the TSES
// finds out by the ledger.
var lasting = []string{"server.pem", registryFile, "state.key", "elements/ledger"}

// missing tells what a file system that is mounted should have and has not.
func missing(o Options) (why string, err error) {
	if _, err := os.Lstat(o.State); errors.Is(err, fs.ErrNotExist) {
		return "permanent storage is empty", nil
	} else if err != nil {
		return "", err
	}
	kept, err := os.ReadFile(filepath.Join(o.Dir, keptFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	for _, name := range strings.Fields(string(kept)) {
		if !slices.Contains(lasting, name) { // older boxes wrote down all that was there
			continue
		}
		if _, err := os.Lstat(filepath.Join(o.State, name)); errors.Is(err, fs.ErrNotExist) {
			return fmt.Sprintf("%s is gone from permanent storage", name), nil
		}
	}
	return "", nil
}

// Keep writes down which files the state directory has now that the TSES
// serves. While a loss is not accepted, nothing is kept.
func Keep(o Options) error {
	for _, dir := range []string{o.Loss, o.State} {
		if _, err := os.Lstat(filepath.Join(dir, sdcard.LostFile)); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	names := slices.DeleteFunc(slices.Clone(lasting), func(name string) bool {
		_, err := os.Lstat(filepath.Join(o.State, name))
		return err != nil
	})
	path := filepath.Join(o.Dir, keptFile)
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	old := strings.Fields(string(text))
	// What was there once is not forgotten when it goes while the TSES serves.
	for _, name := range old {
		if slices.Contains(lasting, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if slices.Equal(old, names) {
		return nil
	}
	return writeSynced(path, []byte(strings.Join(names, "\n")+"\n"), 0o644)
}

func writeSynced(path string, text []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(path+".tmp", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
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
