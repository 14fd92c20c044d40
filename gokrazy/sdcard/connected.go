package sdcard

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"

	"github.com/cloud-of-se/tses/internal/statefile"
)

// NetworkFile tells the TSES how the box is connected. It is replaced when that
// changes, and is not there while the box is not connected.
const NetworkFile = RunDir + "/network"

// NetworkEnv is the name of that file, for the TSES. Without it nothing is known
// of the network.
const NetworkEnv = "TSES_NETWORK"

// Connected is what the file holds.
type Connected struct {
	Interface string       `json:"interface"` // "eth0"
	Address   netip.Prefix `json:"address"`   // "192.168.1.20/24"
	Gateway   netip.Addr   `json:"gateway"`   // "" for none
}

// WriteConnected replaces the file as a whole; nil removes it.
func WriteConnected(path string, c *Connected) error {
	if c == nil {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("state of the network: %w", err)
		}
		return nil
	}
	text, err := json.Marshal(c)
	if err == nil {
		err = replace(path, append(text, '\n'))
	}
	if err != nil {
		return fmt.Errorf("state of the network: %w", err)
	}
	return nil
}

// ErrConnected says that the file holds no state of the network.
var ErrConnected = errors.New("not a state of the network")

// ReadConnected returns nil where the box is not connected.
func ReadConnected(path string) (*Connected, error) {
	text, err := statefile.Kept(maxTold).Read(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("state of the network: %w", err)
	}
	c := new(Connected)
	if err := json.Unmarshal(text, c); err != nil {
		return nil, fmt.Errorf("%s: %.40q: %w: %w", path, text, ErrConnected, err)
	}
	if !c.Address.IsValid() {
		return nil, fmt.Errorf("%s: %.40q: %w: it has no address", path, text, ErrConnected)
	}
	return c, nil
}
