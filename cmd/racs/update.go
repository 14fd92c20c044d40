package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/cloud-of-se/tses/internal/statefile"
	"github.com/cloud-of-se/tses/update"
	"github.com/cloud-of-se/tses/update/client"
)

// updateHelp is the manual of racs update.
const updateHelp = `Replaces what a box runs by FILE, which go run ./gokrazy writes beside the image of
an SD card. It needs a credential of the administrative plane, and the update has
to be signed by the box's owner, for this box. The box writes it where nothing
runs, restarts, and tries it once: unless the listener is up, the box reaches
itself and finds the SEs that it had before, it returns to what it ran by itself.
racs waits until one or the other has happened.

    racs update tses.update
    racs update

Without FILE it shows what the box runs. An update that is older than what runs,
or that changes the boot partition, has to be asked for by name:

    racs update -older VERSION tses.update
    racs update -boot NAME tses.update

An older one needs its owner's word besides, since a box trusts no administrator
with holes that were closed: go run ./gokrazy -older KEPT -replaces TIME -o FILE
signs it again.

A boot partition is never on trial. One whose kernel does not start, or a power cut
while it is written, leaves a box that does not start until its card is made again.
At any other time a power cut does no harm.

An update that was built in the future, by a machine whose clock was wrong, is not
sent: a box that runs it would find every credential expired, and let nobody in.
`

// How long the box is waited for, and how often it is asked.
const (
	updatePatience = 8 * time.Minute
	updateEvery    = time.Second
	updateConnect  = 3 * time.Second
)

// update sends an update, or shows what runs.
func (p *program) update(ctx context.Context, args []string) error {
	if len(args) > 1 {
		return usageError("update needs the file of one update, or none to show what runs: racs update [FILE]")
	}
	config, err := p.config()
	if err != nil {
		return err
	}
	if len(args) == 0 {
		if p.asked != (update.Asked{}) {
			return usageError("-older and -boot need the file of an update: racs update FILE")
		}
		return p.updateStatus(ctx, config)
	}
	file, err := statefile.Rule{Links: true}.Open(args[0]) // its header bounds it, and its owner has signed it
	if errors.Is(err, statefile.ErrKind) {
		return usageError(err.Error())
	}
	if err != nil {
		return fileError(err)
	}
	defer file.Close() // read only: closing it loses nothing
	header, _, _, err := update.Inspect(file)
	switch {
	case errors.Is(err, update.ErrLength):
		return usageError(fmt.Sprintf("%s: %v", args[0], err))
	case errors.Is(err, update.ErrFormat):
		return usageError(fmt.Sprintf("%s: %v%s", args[0], err, bundleHint(args[0])))
	case err != nil:
		return fileError(err)
	}
	// The box looks too, but may not know the time.
	if err := header.CheckAhead(time.Now()); err != nil {
		return usageError(fmt.Sprintf("%s: %v", args[0], err))
	}
	return p.sendUpdate(ctx, config, header, file)
}

// bundleHint names the update that stands beside an image.
func bundleHint(path string) string {
	beside := strings.TrimSuffix(path, filepath.Ext(path)) + ".update"
	if _, err := os.Stat(beside); err != nil || beside == path {
		return "; go run ./gokrazy writes one beside the image of an SD card"
	}
	return "; the update that stands beside it is " + beside
}

func (p *program) updateOptions() client.Options {
	return client.Options{Connect: p.timeout, Answer: p.timeout}
}

// updateStatus shows how a box stands.
func (p *program) updateStatus(ctx context.Context, config *tls.Config) error {
	s, err := client.Status(ctx, p.server, config, p.updateOptions())
	if err != nil {
		return updateError(err)
	}
	lines := []string{fmt.Sprintf("%s runs %s from slot %s, %s", s.Box, systemText(s.Running), s.Slot, trialText(s.Trial))}
	if s.Last != nil {
		lines = append(lines, fmt.Sprintf("the other slot holds %s, %s", systemText(s.Last.System), attemptText(s.Last.State)))
	}
	return p.printLines(lines...)
}

func systemText(s update.System) string {
	return fmt.Sprintf("%s of %s", s.Version, time.Unix(s.Built, 0).UTC().Format(time.RFC3339))
}

func trialText(trial bool) string {
	if trial {
		return "on trial: unless it is found well it will not run again"
	}
	return "confirmed"
}

func attemptText(state string) string {
	if state == "armed" {
		return "which waits to be tried at the next start"
	}
	return "which has been tried before"
}

// sendUpdate sends an update and waits for what becomes of it.
func (p *program) sendUpdate(ctx context.Context, config *tls.Config, h *update.Header, file *os.File) error {
	p.say("%v: sending", h)
	if h.Boot != nil && p.asked.Boot == h.Boot.Name {
		p.say("do not switch the box off before this is over: its boot partition will be overwritten, and there is no way back from that")
	}
	total := h.Root.Size
	if h.Boot != nil {
		total += h.Boot.Size
	}
	before, err := client.Put(ctx, p.server, config, p.updateOptions(), p.asked, file, func(at update.Progress) {
		p.say("%-8s %3d %% of %.1f MB", at.Step, min(max(at.Bytes, 0), total)*100/total, float64(total)/1e6)
	})
	if err != nil {
		return updateError(err)
	}
	p.say("written and checked; the box restarts and tries it")
	return p.awaitUpdate(ctx, config, before, h)
}

var errTakenBack = errors.New("the update was not found well")

// awaitUpdate waits until the update is confirmed or the box has returned to
// what it ran. before is how the box stood.
func (p *program) awaitUpdate(ctx context.Context, config *tls.Config, before update.Status, h *update.Header) error {
	ctx, cancel := context.WithTimeout(ctx, updatePatience)
	defer cancel()
	tick := time.NewTicker(updateEvery)
	defer tick.Stop()
	onTrial := false
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("the box has not said within %v what became of the update: %w; racs update shows what it runs, once it answers again", updatePatience, context.Cause(ctx))
		case <-tick.C:
		}
		s, err := client.Status(ctx, p.server, config, client.Options{Connect: updateConnect, Answer: updateConnect})
		switch {
		case err != nil || s.Start == before.Start: // it restarts, or is about to
		case s.Slot == before.Slot:
			return takenBack(s, h)
		case !s.Trial:
			return p.printLines(fmt.Sprintf("%s runs %s from slot %s, %s", s.Box, systemText(s.Running), s.Slot, trialText(false)))
		case !onTrial:
			onTrial = true
			p.say("it runs on trial from slot %s; the box looks whether it is well", s.Slot)
		}
	}
}

// takenBack says that the box runs what it ran.
func takenBack(s update.Status, h *update.Header) error {
	return fmt.Errorf("%w: %s runs %s from slot %s again, as before; its log says why %s was not well, and nothing needs to be repaired",
		errTakenBack, s.Box, systemText(s.Running), s.Slot, h.Version)
}

// updateError adds what to do.
func updateError(err error) error {
	if refused := new(client.Refusal); errors.As(err, refused) {
		return fmt.Errorf("the box does not take it: %w", err)
	}
	return err
}
