//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/BurntSushi/toml"
	"golang.org/x/sys/unix"

	"github.com/cloud-of-se/tses/gokrazy/internal/clock"
	"github.com/cloud-of-se/tses/gokrazy/internal/perm"
	"github.com/cloud-of-se/tses/gokrazy/internal/supervise"
	"github.com/cloud-of-se/tses/gokrazy/internal/trial"
	"github.com/cloud-of-se/tses/gokrazy/sdcard"
	"github.com/cloud-of-se/tses/internal/statefile"
)

// box is all that init looks after.
type box struct {
	out    *sink
	said   *speaker // what the TSES says
	log    *slog.Logger
	slots  *trial.Card // nil: nothing is known of them
	dog    *watchdog
	build  sdcard.Build
	config configuration
	card   perm.Card
	loss   *sdcard.Loss // of the state, that the owner has not accepted; nil: none
	clock  *clock.Clock
	daemon *supervise.Daemon
	trying func() bool // tells whether an update is on trial still; nil: as it was at the start
	busy   func() bool // tells of the boot partition being overwritten; nil: it never is
	began  time.Time

	lastShown string // what was wrong with what the TSES shows

	restart chan string // why the box is to restart
	running sync.WaitGroup
}

// configuration is what of the TSES's configuration is init's.
type configuration struct {
	Listen          string         `toml:"listen"`
	Network         sdcard.Network `toml:"network"`
	AcceptLostState string         `toml:"accept_lost_state"`
	Elements        []struct {
		Driver string `toml:"driver"`
	} `toml:"element"`
}

const defaultPort = 7777

// port is where the TSES listens, for mDNS.
func (c configuration) port() int {
	_, text, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return defaultPort
	}
	port, err := strconv.Atoi(text)
	if err != nil || port == 0 {
		return defaultPort
	}
	return port
}

func (b *box) readBuild() {
	b.began = time.Now()
	build, err := sdcard.ReadBuild(sdcard.BuildFile)
	if err != nil {
		b.log.Error("the card does not tell when it was made; certificates cannot be judged before the time is known", "err", err)
	}
	b.build = build
	b.log.Info("TSES", "version", build.Version, "made", build.Time.Format(time.RFC3339))
}

// maxConfig bounds a configuration in bytes.
const maxConfig = 1 << 20

func (b *box) readConfiguration() error {
	text, err := statefile.Given(maxConfig).Read(sdcard.ConfigFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var c configuration
	if _, err := toml.Decode(string(text), &c); err != nil {
		return fmt.Errorf("%s: %w", sdcard.ConfigFile, err)
	}
	if err := c.Network.Check(); err != nil {
		return fmt.Errorf("%s: %w; the address comes by DHCP", sdcard.ConfigFile, err)
	}
	b.config = c
	return nil
}

func (b *box) permOptions() perm.Options {
	return perm.Options{
		Dir: "/perm", State: sdcard.StateDir, Loss: sdcard.LossDir, Accept: b.config.AcceptLostState, Trial: b.onTrial(),
		Log: b.log, Pause: 2 * time.Second, Now: time.Now,
	}
}

// onTrial tells whether this is the one start of an update, which another root
// file system follows unless it is well.
func (b *box) onTrial() bool {
	if b.slots != nil {
		return b.slots.Trial()
	}
	return os.Getenv(trial.GuardEnv) != "" // nothing is known of the slots
}

// prepareStorage makes /perm usable and begins to log there.
func (b *box) prepareStorage() error {
	device, err := perm.FindDevice()
	if err != nil {
		b.log.Error("permanent storage is not found", "err", err)
	}
	b.card = perm.Card{Device: device, Dir: "/perm"}
	if b.loss, err = perm.Prepare(b.card, b.permOptions()); err != nil {
		return err
	}
	if b.loss != nil {
		if err := sdcard.RecordLoss(sdcard.RunDir, *b.loss); err != nil {
			b.log.Error("the TSES does not hear of its lost state", "err", err)
		}
	}
	if err := b.card.Harden(); err != nil {
		b.log.Warn("permanent storage", "err", err)
	}
	if bad, err := b.card.Errors(); err == nil && bad {
		b.log.Error("the kernel has found damage on permanent storage; the SD card may be about to fail, make a new one")
	}
	if err := b.out.open(sdcard.LogDir); err != nil {
		b.log.Warn("log", "err", err)
	}
	return nil
}

// maxFiles is how many files the TSES may have open: one for each session and
// handshake of its limits, and room besides.
const maxFiles = 1 << 16

func (b *box) prepareDaemon() {
	limit := unix.Rlimit{Cur: maxFiles, Max: maxFiles}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		b.log.Warn("the TSES cannot have as many sessions as its limit", "err", err)
	}
	if err := give(sdcard.StateDir); err != nil {
		b.log.Error("state directory", "err", err) // the TSES says what it cannot do
	}
	b.said = &speaker{w: b.out, prefix: "tses: "}
	b.daemon = &supervise.Daemon{
		Path: daemonProgram, Args: daemonArgs, Output: b.said, Log: b.log,
		Env: []string{
			"TZ=UTC", sdcard.ClockEnv + "=" + sdcard.ClockFile, sdcard.NetworkEnv + "=" + sdcard.NetworkFile, sdcard.LossEnv + "=" + sdcard.RunDir,
		},
	}
}

// keepState writes down which files the state has, once the TSES serves and
// now and then.
func (b *box) keepState(ctx context.Context) {
	report := asked("tses.report")
	for pause := time.Second; ; {
		if b.daemon.Healthy() {
			b.lookAtShown()
			if b.loss == nil { // what is there now is not what should be
				if err := perm.Keep(b.permOptions()); err != nil {
					b.log.Warn("permanent storage", "err", err)
				}
			}
			if report {
				b.report()
				report = false
			}
			pause = time.Minute
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}
