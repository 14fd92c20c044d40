// Package sdcard is what the first process of an SD card and the TSES that it
// keeps running have agreed on: where things are, what each tells the other,
// and the part of the configuration that is the first process's.
//
// The two share no memory and no socket. The first process tells by files in
// [RunDir] and by the environment; the TSES answers by its heartbeat alone.
package sdcard

import (
	"github.com/cloud-of-se/tses/internal/statefile"
	"os"
	"path/filepath"
)

// Where things are on the box.
const (
	EtcDir   = "/etc/tses"  // what the card brings: configuration, identity, trust; read-only
	StateDir = "/perm/tses" // what the TSES keeps; its own
	LogDir   = "/perm/log"  // the first process's
	RunDir   = "/run/tses"  // until the next start

	ConfigFile = EtcDir + "/config.toml"
	BuildFile  = EtcDir + "/build"
	ClockFile  = RunDir + "/clock"
)

// UID is the user, and the group, that the TSES on a box runs as.
const UID = 7777

// The environment of the TSES on a box.
const (
	// HeartbeatEnv is the number of the file descriptor that the TSES writes a
	// byte to each time that it has convinced itself that it serves.
	HeartbeatEnv = "TSES_HEARTBEAT_FD"
	// ClockEnv is the name of the file that tells how far the clock can be
	// trusted. Without it the clock is as good as that of any server.
	ClockEnv = "TSES_CLOCK"
	// LossEnv is the name of the directory in which the first process tells of
	// a [Loss]. Without it there is none but what the state directory says.
	LossEnv = "TSES_LOSS"
)

// The labels of the file system on /perm. By them an image that starts for the
// first time is told from a box that has lost its state: the builder writes
// the one, the first start replaces it by the other.
const (
	LabelNew  = "perm"
	LabelUsed = "perm-in-use"
)

// maxTold bounds what the two processes tell each other in a file, in bytes.
const maxTold = 16 << 10

// replace replaces a file in [RunDir] as a whole, for whoever reads it at that
// moment. It lasts until the next start.
func replace(path string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return statefile.Write(path, text, 0o644)
}
