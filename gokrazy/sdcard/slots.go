package sdcard

import (
	"encoding/json"
	"fmt"

	"github.com/cloud-of-se/tses/internal/statefile"
)

// SlotsFile tells the TSES how the two root file systems stand. The first
// process replaces it when that changes.
const SlotsFile = RunDir + "/slots"

// SlotsEnv is the name of that file, for the TSES. Without it the TSES takes no
// updates.
const SlotsEnv = "TSES_SLOTS"

// Slots is what the file holds.
type Slots struct {
	Running int    `json:"running"` // as package slots numbers them
	Trial   bool   `json:"trial"`   // the next start would be the other's
	Other   string `json:"other"`   // the device of the other, which the TSES may write
}

// WriteSlots replaces the file.
func WriteSlots(path string, s Slots) error {
	text, err := json.Marshal(s)
	if err == nil {
		err = replace(path, append(text, '\n'))
	}
	if err != nil {
		return fmt.Errorf("state of the slots: %w", err)
	}
	return nil
}

// ReadSlots reads it.
func ReadSlots(path string) (Slots, error) {
	var s Slots
	text, err := statefile.Kept(maxTold).Read(path)
	if err == nil {
		err = json.Unmarshal(text, &s)
	}
	if err != nil {
		return s, fmt.Errorf("state of the slots: %w", err)
	}
	return s, nil
}
