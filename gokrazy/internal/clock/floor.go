//go:build unix

package clock

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/cloud-of-se/tses/internal/statefile"
)

// floor is what has passed, as it was known at a moment.
type floor struct {
	proved    time.Time // the evidence then
	witnessed time.Time // what servers have vouched for then; zero: nothing
	at        time.Time // the moment, by the monotonic clock
}

// lived is how long the box has run since, if its crystal is a thousandth too fast.
func (f floor) lived(at time.Time) time.Duration {
	d := at.Sub(f.at)
	return d - d/1000
}

// evidence is what has passed at a moment for certain.
func (f floor) evidence(at time.Time) time.Time { return f.proved.Add(f.lived(at)) }

// time is the floor itself.
func (f floor) time(at time.Time) time.Time {
	e, w := f.evidence(at), f.witnessed.Add(f.lived(at))
	switch most := e.Add(maxAhead); {
	case f.witnessed.IsZero() || w.Before(e):
		return e
	case w.After(most):
		return most
	}
	return w
}

// advance makes it what is known at a moment.
func (f *floor) advance(at time.Time) {
	w := f.time(at)
	f.proved, f.witnessed, f.at = f.evidence(at), w, at
}

func (f *floor) prove(t, at time.Time) {
	f.advance(at)
	f.proved = t
}

func (f *floor) witness(t, at time.Time) {
	f.advance(at)
	f.witnessed = t
}

// savedFloor is the file. Its format is another than that of older boxes, which
// have saved what their clock was, whoever had set it: that is no evidence.
type savedFloor struct {
	Built     time.Time `json:"built"` // of the image whose evidence it is
	Evidence  time.Time `json:"evidence"`
	Witnessed time.Time `json:"witnessed,omitzero"`
}

// maxFile is more than a file takes, in bytes.
const maxFile = 1024

var errFile = errors.New("no saved time")

// load makes the floor what is saved, if it is this image's or an older one's: an
// older image than the one that has saved it runs because its owner has signed that
// it may, and begins anew. What that one knew was perhaps what was wrong with it.
func (c *Clock) load() {
	c.floor = floor{proved: c.Built, at: c.began}
	s, err := readFloor(c.File)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return
	case err != nil:
		c.Log.Warn("clock: the last known time cannot be read, the image's is used", "err", err)
		return
	case s.Built.After(c.Built):
		c.Log.Warn("clock: an older system runs than before, the last known time is not used", "built", stamp(c.Built), "before", stamp(s.Built))
		return
	case s.Evidence.After(c.Built.Add(maxAge)):
		c.Log.Warn("clock: the last known time cannot be, the image's is used", "time", stamp(s.Evidence))
		return
	}
	c.kept = s.Evidence
	if s.Evidence.After(c.Built) {
		c.floor.proved = s.Evidence
	}
	c.floor.witnessed = s.Witnessed
	c.floor.advance(c.began)
}

func readFloor(path string) (s savedFloor, err error) {
	text, err := statefile.Kept(maxFile).Read(path)
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(text, &s); err != nil {
		return s, fmt.Errorf("%s: %w: %w", path, errFile, err)
	}
	if s.Evidence.IsZero() || s.Built.IsZero() {
		return s, fmt.Errorf("%s: %w", path, errFile)
	}
	return s, nil
}

// save writes down what is known, and tells it. That it fails costs what the box
// has lived through since the last time. c.mu is held.
func (c *Clock) save() {
	at := time.Now()
	c.floor.advance(at)
	c.lastSave = at
	c.become(c.State())
	s := savedFloor{Built: c.Built.UTC(), Evidence: c.floor.proved.UTC(), Witnessed: c.floor.witnessed.UTC()}
	if c.Trial != nil && c.Trial() {
		// What it may be taken back to is not to find its file a newer one's.
		old, err := readFloor(c.File)
		if err != nil {
			return
		}
		s.Built = old.Built
	}
	text, err := json.Marshal(s)
	if err == nil {
		write := c.write
		if write == nil {
			write = writeDurably
		}
		err = write(c.File, append(text, '\n'))
	}
	if err != nil {
		c.Log.Warn("clock: the time cannot be saved", "err", err)
		return
	}
	c.kept = s.Evidence
}

func writeDurably(path string, text []byte) error {
	if err := statefile.Mkdir(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return statefile.Write(path, text, 0o644)
}
