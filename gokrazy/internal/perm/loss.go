package perm

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/cloud-of-se/tses/gokrazy/sdcard"
	"github.com/cloud-of-se/tses/internal/statefile"
)

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
	if err := statefile.Mkdir(o.State, 0o700); err != nil {
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
		if err := errors.Join(os.Rename(o.State, aside), statefile.SyncDir(o.Dir), o.step()); err != nil {
			return err
		}
	}
	if err := errors.Join(statefile.Mkdir(o.State, 0o700), o.step()); err != nil {
		return err
	}
	path := filepath.Join(o.State, registryFile)
	if registry := readRegistry(aside); registry != nil {
		if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
			if err := errors.Join(statefile.Write(path, registry, 0o600), o.step()); err != nil {
				return err
			}
		}
	}
	if err := os.Remove(filepath.Join(o.Dir, keptFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := errors.Join(statefile.SyncDir(o.Dir), o.step()); err != nil {
		return err
	}
	return errors.Join(sdcard.RemoveLoss(o.Loss), o.step())
}

// registryFile says which credentials are revoked. It is what a state that
// begins anew takes along, for none of them may come in again.
const registryFile = "credentials.json"

// maxRegistry bounds what is read of the TSES's files.
const maxRegistry = 16 << 20

// readRegistry reads the registry of credentials in a state directory, nil
// where there is none of use. The directory is the TSES's: what is not a file
// is not read.
func readRegistry(state string) []byte {
	path := filepath.Join(state, registryFile)
	text, err := statefile.Left(maxRegistry).Read(path)
	var entries []struct {
		Serial string `json:"serial"`
	}
	if err != nil || json.Unmarshal(text, &entries) != nil || entries == nil {
		return nil
	}
	return text
}
