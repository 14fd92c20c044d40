package sdcard

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/cloud-of-se/tses/internal/statefile"
)

// Build is what the builder writes of itself on the card, in JSON.
type Build struct {
	Time    time.Time `json:"time"`    // the clock never starts before it
	Version string    `json:"version"` // of this project
}

// ReadBuild reads it.
func ReadBuild(path string) (Build, error) {
	var b Build
	text, err := statefile.Kept(maxTold).Read(path)
	if err != nil {
		return b, fmt.Errorf("build: %w", err)
	}
	if err := json.Unmarshal(text, &b); err != nil {
		return b, fmt.Errorf("build: %s: %w", path, err)
	}
	if b.Time.IsZero() {
		return b, fmt.Errorf("build: %s has no time", path)
	}
	return b, nil
}
