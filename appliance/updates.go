package main

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/cloud-of-se/tses/gokrazy/sdcard"
	"github.com/cloud-of-se/tses/gokrazy/slots"
	"github.com/cloud-of-se/tses/grid"
	"github.com/cloud-of-se/tses/stp"
	"github.com/cloud-of-se/tses/update"
	"github.com/cloud-of-se/tses/update/server"
)

// bootID is another after each start of the machine.
const bootID = "/proc/sys/kernel/random/boot_id"

// updates are what a box does about its updates.
type updates struct {
	file   string // where the first process tells how the slots stand
	memory *memory
	server *server.Server
	log    *slog.Logger
}

// newUpdates returns nil where nobody can replace what runs: anywhere but on
// an SD card.
func newUpdates(f flags, self identity, g *grid.Grid, log *slog.Logger) (*updates, error) {
	file, ok := os.LookupEnv(sdcard.SlotsEnv)
	b, isBox := self.(box)
	if !ok || !isBox {
		return nil, nil
	}
	owner, ok := b.Certificate().PublicKey.(*ecdsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("updates: the owner's CA has a key of type %T; make the SD card again", b.Certificate().PublicKey)
	}
	build, err := sdcard.ReadBuild(filepath.Join(f.box, filepath.Base(sdcard.BuildFile)))
	if err != nil {
		return nil, fmt.Errorf("updates: %w", err)
	}
	start, err := os.ReadFile(bootID)
	if err != nil {
		return nil, fmt.Errorf("updates: %w", err)
	}
	c, err := configured(f)
	if err != nil {
		return nil, fmt.Errorf("updates: %w", err)
	}
	m := &memory{path: filepath.Join(f.state, "before-update"), grid: g, log: log, names: named(c), found: c.PCSC.Readers}
	u := &updates{file: file, memory: m, log: log}
	u.server = &server.Server{
		Owner:   owner,
		Running: update.Running{Box: b.Names()[0], Version: build.Version, Built: build.Time.Unix()},
		Now:     newBoxClock(slog.New(slog.DiscardHandler)).forUpdates,
		Start:   strings.TrimSpace(string(start)),
		Slots:   u.slots,
		Prepare: u.memory.keep,
	}
	return u, nil
}

// slots tells how the card stands.
func (u *updates) slots() (server.Slots, error) {
	s, err := sdcard.ReadSlots(u.file)
	if errors.Is(err, os.ErrNotExist) {
		err = errors.New("this box takes no updates now: the log of its start says why")
	}
	return server.Slots{Running: slots.Slot(s.Running), Trial: s.Trial, Other: s.Other}, err
}

// handlers are for the listener.
func (u *updates) handlers() map[string]stp.Handler {
	if u == nil {
		return nil
	}
	return map[string]stp.Handler{update.Protocol: u.server}
}

// trial tells what is missing for an update on trial to be found well, in a
// function for the heart. Where nothing is on trial it is nil. ctx ends the
// looking.
func (u *updates) trial(ctx context.Context) func() error {
	if u == nil {
		return nil
	}
	s, err := u.slots()
	if err != nil || !s.Trial {
		return nil
	}
	missing := u.memory.compare(ctx)
	return func() error { return errors.Join(connected(), missing()) }
}

// errNotConnected says that nobody can reach the box.
var errNotConnected = errors.New("the box has no network, and had one when the update came")

// connected tells what keeps clients from the box. Where nobody tells of the
// network, nothing is known to.
func connected() error {
	path, ok := os.LookupEnv(sdcard.NetworkEnv)
	if !ok {
		return nil
	}
	c, err := sdcard.ReadConnected(path)
	if err == nil && c == nil {
		err = errNotConnected
	}
	return err
}
