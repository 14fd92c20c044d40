package sdcard

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/cloud-of-se/tses/internal/statefile"
)

// ClockState is how far the clock of a box can be trusted.
type ClockState string

const (
	// ClockFloor: the real time is not known; it is most likely later than the
	// clock's.
	ClockFloor ClockState = "floor"
	// ClockTold: the time came from a real-time clock, or a server that nobody
	// vouches for.
	ClockTold ClockState = "told"
	// ClockSet: the time came from a server of the configuration or two that
	// agree.
	ClockSet ClockState = "set"
)

// Clock is what the TSES is told of the clock.
type Clock struct {
	State ClockState
	// Evidence is a time that has passed for certain, whatever the clock says;
	// zero: none is known.
	Evidence time.Time
}

// WriteClock tells the TSES by a file, which is replaced as a whole.
func WriteClock(path string, c Clock) error {
	if err := replace(path, fmt.Appendf(nil, "%s %s\n", c.State, c.Evidence.UTC().Format(time.RFC3339))); err != nil {
		return fmt.Errorf("state of the clock: %w", err)
	}
	return nil
}

// ErrClockState says that the file holds no state.
var ErrClockState = errors.New("not a state of the clock")

// ReadClock reads what WriteClock wrote. With an error it is [ClockFloor] and no
// evidence: less is judged then, and that is said.
func ReadClock(path string) (Clock, error) {
	text, err := statefile.Kept(maxTold).Read(path)
	if err != nil {
		return Clock{State: ClockFloor}, err
	}
	state, at, _ := strings.Cut(strings.TrimSpace(string(text)), " ")
	evidence, err := time.Parse(time.RFC3339, at)
	switch s := ClockState(state); s {
	case ClockFloor, ClockTold, ClockSet:
		if err == nil {
			return Clock{s, evidence}, nil
		}
	}
	return Clock{State: ClockFloor}, fmt.Errorf("%s: %.40q: %w", path, text, ErrClockState)
}

// ShownFile is the name of a file in the state directory by which the TSES shows
// the first process an access credential's certificate, in DER, that says more of
// the time than is known. What it is worth the first process finds out itself.
const ShownFile = "shown"

// MaxShown is more than such a certificate takes, in bytes.
const MaxShown = 8 << 10
