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
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/cloud-of-se/tses/gokrazy/sdcard"
	"github.com/cloud-of-se/tses/internal/statefile"
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
		err = statefile.Write(filepath.Join(o.State, registryFile), registry, 0o600)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.Dir, errors.Join(cause, err))
	}
	loss := sdcard.NewLoss(o.Now(), fmt.Sprintf("the SD card cannot be written (%v); what is kept now is gone when the box is switched off", cause))
	return &loss, nil
}
