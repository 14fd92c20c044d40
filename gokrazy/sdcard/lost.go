package sdcard

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/cloud-of-se/tses/internal/statefile"
)

// Loss is that a box has lost what it kept on /perm: keys and counters of its
// software SEs, or which credentials were revoked since the card was made. It
// holds until the owner accepts it: by a newly flashed card, or by the
// configuration's accept_lost_state with this time.
//
// There are three places for its record, each a directory with a [LostFile].
// [LossDir] is the first process's: what is written there, no fault of the
// TSES's can take back. [RunDir] is where the first process tells the TSES of
// it. And in the state directory the TSES itself can claim a loss; at the next
// start the first process takes the claim over.
type Loss struct {
	Time time.Time `json:"time"` // when it was found, by the box's clock
	Why  string    `json:"why"`
	// SEs are the software SEs that are lost; empty: all, and the revocations.
	SEs []string `json:"se,omitempty"`
}

// LossDir is where the record is kept.
const LossDir = "/perm/loss"

// LostFile is the name of the record in its directory.
const LostFile = "LOST"

// maxLoss is more than a record takes.
const maxLoss = 4096

// NewLoss is a loss found now. The clock of a box that has lost its state may
// be one that starts at the same time again and again, so a fraction of a
// second is drawn by lot: no two losses have the same time.
func NewLoss(now time.Time, why string) Loss {
	const least = time.Microsecond
	fraction := time.Duration(1+rand.Int64N(int64(time.Second/least)-1)) * least
	return Loss{Time: now.UTC().Truncate(time.Second).Add(fraction), Why: why}
}

// Key is what accept_lost_state has to be, so that one loss is accepted and
// not the next.
func (l Loss) Key() string { return l.Time.UTC().Format(time.RFC3339Nano) }

// RecordLoss writes the loss down in a directory, which it makes if need be,
// unless there is a record that can be read: the first is the one that counts.
func RecordLoss(dir string, l Loss) error {
	old, err := ReadLoss(dir)
	if err != nil || old != nil && !old.Time.IsZero() {
		return err
	}
	text, err := json.Marshal(Loss{Time: l.Time.UTC(), Why: l.Why, SEs: l.SEs})
	if err == nil {
		err = statefile.Mkdir(dir, 0o755)
	}
	if err == nil {
		err = statefile.Write(filepath.Join(dir, LostFile), append(text, '\n'), 0o644)
	}
	if err != nil {
		return fmt.Errorf("record of the lost state: %w", err)
	}
	return nil
}

// ReadLoss returns the loss that is recorded in a directory, nil for none. A
// record that cannot be understood, or that is no file, is a loss as well; it
// has no time.
func ReadLoss(dir string) (*Loss, error) {
	path := filepath.Join(dir, LostFile)
	// The TSES or the first process has left it, and either may read it.
	text, err := statefile.Left(maxLoss).Read(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case errors.Is(err, statefile.ErrKind) || errors.Is(err, statefile.ErrSize):
		return &Loss{Why: "its record cannot be read either"}, nil
	case err != nil:
		return nil, fmt.Errorf("record of the lost state: %w", err)
	}
	l := new(Loss)
	if json.Unmarshal(text, l) != nil {
		return &Loss{Why: "its record cannot be read either"}, nil
	}
	return l, nil
}

// RemoveLoss removes the record from a directory.
func RemoveLoss(dir string) error {
	err := os.Remove(filepath.Join(dir, LostFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = statefile.SyncDir(dir)
	}
	if err != nil {
		return fmt.Errorf("record of the lost state: %w", err)
	}
	return nil
}
