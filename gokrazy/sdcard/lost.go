package sdcard

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Loss is that a box has lost what it kept on /perm: keys and counters of its
// software SEs, and which credentials were revoked since the card was made. It
// is written down in the state directory and holds until the owner accepts it:
// by a newly flashed card, or by the configuration's accept_lost_state with
// this time.
type Loss struct {
	Time time.Time `json:"time"` // when it was found, by the box's clock
	Why  string    `json:"why"`
}

// LostFile is the name of the record in the state directory.
const LostFile = "LOST"

// Key is what accept_lost_state has to be, so that one loss is accepted and
// not the next.
func (l Loss) Key() string { return l.Time.UTC().Format(time.RFC3339) }

// RecordLoss writes the loss down, unless there is one already: the first is
// the one that counts.
func RecordLoss(state string, l Loss) error {
	if old, err := ReadLoss(state); err != nil || old != nil {
		return err
	}
	text, err := json.Marshal(Loss{Time: l.Time.UTC().Truncate(time.Second), Why: l.Why})
	if err != nil {
		return fmt.Errorf("record of the lost state: %w", err)
	}
	path := filepath.Join(state, LostFile)
	if err := writeSynced(path, append(text, '\n')); err != nil {
		return fmt.Errorf("record of the lost state: %w", err)
	}
	return nil
}

// ReadLoss returns the loss that is not accepted yet, nil for none. A record
// that cannot be read is a loss as well.
func ReadLoss(state string) (*Loss, error) {
	text, err := os.ReadFile(filepath.Join(state, LostFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("record of the lost state: %w", err)
	}
	l := new(Loss)
	if json.Unmarshal(text, l) != nil {
		return &Loss{Why: "its record cannot be read either"}, nil
	}
	return l, nil
}

// AcceptLoss removes the record.
func AcceptLoss(state string) error {
	if err := os.Remove(filepath.Join(state, LostFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("record of the lost state: %w", err)
	}
	return syncDir(state)
}

// writeSynced replaces a file so that a power cut leaves the old or the new one.
func writeSynced(path string, text []byte) error {
	// The directory is the TSES's and the writer is root: whatever stands in
	// the way is not followed.
	if err := os.Remove(path + ".tmp"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(path+".tmp", os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
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

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
