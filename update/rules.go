package update

import (
	"errors"
	"fmt"
	"time"
)

// Running is the system that a box runs.
type Running struct {
	Box     string
	Version string
	Built   int64 // Unix time in seconds
	// Now is what the box's clock says, zero where it is not set.
	Now time.Time
}

// Asked is what an administrator has asked for by name.
type Asked struct {
	Older string // the version of an older system that may replace the running one
	Boot  string // the name of a boot partition that may replace the box's
}

// The reasons for which a bundle that the owner has signed is refused.
var (
	ErrOtherBox   = errors.New("the update is for another box")
	ErrOlder      = errors.New("the update is older than what the box runs")
	ErrAhead      = errors.New("the update was built later than it is now")
	ErrBootChange = errors.New("the update changes the boot partition")
)

// maxAhead is how far two clocks may differ.
const maxAhead = 24 * time.Hour

// CheckAhead refuses a bundle that was built more than a day ahead of now, with
// [ErrAhead]: by a machine whose clock was wrong. A box that runs it would never
// let its clock be before that time again, find every credential expired, and
// let nobody in, not even with the next update.
func (h *Header) CheckAhead(now time.Time) error {
	if !h.BuiltTime().After(now.Add(maxAhead)) {
		return nil
	}
	return fmt.Errorf("%w: at %s, and it is %s; set the clock of the machine that is wrong, and build it again where it was built by one that was", ErrAhead,
		h.BuiltTime().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
}

// CheckFor refuses a bundle that the box may not run whoever asks for it, with
// [ErrOtherBox] or [ErrOlder]: one for another box, and one that is older than
// what runs unless its owner has signed that it may replace that
// ([Header.Replaces], [Permit]).
//
// An older system may have holes that its successor has closed, and everybody who
// has ever had the older bundle has it still. This is what the first process
// judges by, which cannot know what an administrator has asked for: who has broken
// into the TSES would say so of any.
func (h *Header) CheckFor(r Running) error {
	if h.Box != r.Box {
		return fmt.Errorf("%w: it is for %s, this is %s; build one for this box", ErrOtherBox, h.Box, r.Box)
	}
	if h.Built < r.Built && h.Replaces < r.Built {
		return fmt.Errorf("%w: %s; the owner signs that it may take its place by go run ./gokrazy -older FILE -replaces %s -o NEW, and NEW is what to send",
			ErrOlder, h.against(r), rfc3339(r.Built))
	}
	return nil
}

// against names both systems.
func (h *Header) against(r Running) string {
	return fmt.Sprintf("%s of %s against %s of %s", h.Version, rfc3339(h.Built), r.Version, rfc3339(r.Built))
}

func rfc3339(unix int64) string { return time.Unix(unix, 0).UTC().Format(time.RFC3339) }

// Allow tells whether a bundle may replace what runs.
//
// An older system has to be meant by the administrator too, besides its owner
// ([Header.CheckFor]). A boot partition is overwritten in place and is never on
// trial: a power cut meanwhile, or a kernel that does not start, leaves a box that
// does not start any more; so that has to be meant too.
func (h *Header) Allow(r Running, a Asked) error {
	if err := h.CheckFor(r); err != nil {
		return err
	}
	if !r.Now.IsZero() {
		if err := h.CheckAhead(r.Now); err != nil {
			return err
		}
	}
	if h.Built < r.Built && a.Older != h.Version {
		return fmt.Errorf("%w: %s; ask for it by -older %s if you mean it", ErrOlder, h.against(r), h.Version)
	}
	switch {
	case h.Boot == nil && a.Boot != "":
		return fmt.Errorf("the update has no boot partition, and %s was asked for; build it with one, or do not ask", a.Boot)
	case h.Boot != nil && a.Boot != h.Boot.Name:
		return fmt.Errorf("%w to %s, which is never on trial: a power cut meanwhile, or a kernel in it that does not start, leaves a box that does not start until its card is made again; build it without one, or ask for it by -boot %s if you mean it", ErrBootChange, h.Boot.Name, h.Boot.Name)
	}
	return nil
}
