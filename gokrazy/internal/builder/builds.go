package builder

import (
	"encoding/json"
	"errors"
	"fmt"
	"github.com/cloud-of-se/tses/internal/statefile"
	"io/fs"
	"time"
)

// buildsFile is when each version was first built for a box.
const buildsFile = "builds.json"

// maxRecord bounds a file of what an owner has of a box, in bytes.
const maxRecord = 1 << 20

// buildRecord is an entry of it.
type buildRecord struct {
	Version string    `json:"version"`
	Time    time.Time `json:"time"`
}

// maxBuilds bounds what is kept. What is forgotten counts as new again.
const maxBuilds = 1000

// maxAhead is how far ahead of this machine's clock an earlier build may be: the
// clock of another machine that makes cards for the same boxes.
const maxAhead = 24 * time.Hour

// checkAhead refuses a time that only a wrong clock can have written: what is
// built behind it would be dated even later, and a box never lets its clock be
// before the build that it runs, so that it would find every credential expired.
func checkAhead(path, what string, at, now time.Time) error {
	if !at.After(now.Add(maxAhead)) {
		return nil
	}
	return fmt.Errorf("%s: %s is of %s, and this machine's clock says %s: set the clock; where the clock is right the file is wrong, take this out of it, and give a box that runs it already the next update as an older one, see go doc ./gokrazy",
		path, what, at.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
}

// buildTime is the time that a version has on the cards of a box: that of its
// first build for it, however often it is built again. So a build can be
// repeated to the byte, and of two versions a box knows the older one.
func (o *Owner) buildTime(b *Box, version string, now time.Time) (time.Time, error) {
	path := o.boxPath(b.Name, buildsFile)
	var known []buildRecord
	text, err := statefile.Kept(maxRecord).Read(path)
	if err == nil {
		err = json.Unmarshal(text, &known)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return time.Time{}, fmt.Errorf("box %s: %s: %w", b.Name, path, err)
	}
	ahead := checkAhead(o.boxPath(b.Name, boxFile), "the box", b.Made, now)
	if len(known) > 0 {
		last := known[len(known)-1]
		ahead = checkAhead(path, "its last entry, "+last.Version+",", last.Time, now)
	}
	if ahead != nil {
		return time.Time{}, fmt.Errorf("box %s: %w", b.Name, ahead)
	}
	for _, r := range known {
		if r.Version == version {
			return r.Time, nil
		}
	}
	r := buildRecord{version, b.Made}
	if len(known) > 0 {
		r.Time = now.UTC().Truncate(time.Second)
		// Whatever this machine's clock says, it is newer.
		if last := known[len(known)-1].Time; !r.Time.After(last) {
			r.Time = last.Add(time.Second)
		}
	}
	known = append(known, r)
	if text, err = json.MarshalIndent(known[max(0, len(known)-maxBuilds):], "", "  "); err != nil {
		return time.Time{}, err
	}
	if err := statefile.Write(path, append(text, '\n'), 0o600); err != nil {
		return time.Time{}, fmt.Errorf("box %s: %w", b.Name, err)
	}
	return r.Time, nil
}
