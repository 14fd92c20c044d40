package sdcard

import (
	"errors"
	"fmt"
	"strings"

	"github.com/cloud-of-se/tses/internal/statefile"
)

// ClockState is how far the clock of a box can be trusted.
type ClockState string

const (
	// ClockFloor: the real time is not before the clock's, and perhaps much
	// later.
	ClockFloor ClockState = "floor"
	// ClockSet: the time came from a real-time clock or an NTP server.
	ClockSet ClockState = "set"
)

// WriteClockState tells the TSES of it by a file, which is replaced as a whole.
func WriteClockState(path string, s ClockState) error {
	if err := replace(path, []byte(s+"\n")); err != nil {
		return fmt.Errorf("state of the clock: %w", err)
	}
	return nil
}

// ErrClockState says that the file holds no state.
var ErrClockState = errors.New("not a state of the clock")

// ReadClockState reads what WriteClockState wrote. With an error it is
// [ClockFloor]: less is judged then, and that is said.
func ReadClockState(path string) (ClockState, error) {
	text, err := statefile.Kept(maxTold).Read(path)
	if err != nil {
		return ClockFloor, err
	}
	switch s := ClockState(strings.TrimSpace(string(text))); s {
	case ClockFloor, ClockSet:
		return s, nil
	}
	return ClockFloor, fmt.Errorf("%s: %.20q: %w", path, text, ErrClockState)
}
