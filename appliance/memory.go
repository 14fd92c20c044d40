package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cloud-of-se/tses/grid"
	"github.com/cloud-of-se/tses/internal/statefile"
)

// memory is which SEs were there before an update. On trial they have to be
// there again: a TSES that runs well and does not find its chips is of no use.
// But for those that the update's own configuration does not name any more: its
// owner has taken them out, or renamed them.
type memory struct {
	path  string
	grid  *grid.Grid
	log   *slog.Logger
	names []string // that the configuration gives to SEs
	found bool     // cards in readers are SEs too, whether it names them or not
}

// maxMemory bounds its file in bytes: a box has a few SEs.
const maxMemory = 1 << 20

// named are the SEIDs of a configuration, aliases included.
func named(c config) []string {
	var names []string
	for _, e := range c.Elements {
		names = append(append(names, e.SEID), e.Aliases...)
	}
	return names
}

// foundSEID is how pcsc.SEID calls a card that nobody has named.
var foundSEID = regexp.MustCompile(`-[0-9a-f]{8}$`)

// retired tells whether an SE is not to be there any more.
func (m *memory) retired(seid string) bool {
	return !slices.Contains(m.names, seid) && !(m.found && foundSEID.MatchString(seid))
}

// foundTime is how long an SE has to answer.
const foundTime = 10 * time.Second

// answers tells whether an SE is there: it answers to being powered on, or
// somebody uses it.
func answers(ctx context.Context, g *grid.Grid, seid string) bool {
	ctx, cancel := context.WithTimeout(ctx, foundTime)
	defer cancel()
	session := g.NewSession("update")
	_, _, err := session.PowerOn(ctx, seid)
	inUse := new(grid.InUseError)
	is := err == nil || errors.As(err, &inUse)
	// Where it cannot be powered off there is nobody who needs to know.
	_ = session.Close()
	return is
}

// present asks all SEs at a time, and returns those that are there.
func present(ctx context.Context, g *grid.Grid, seids []string) []string {
	is := make([]bool, len(seids))
	var asking sync.WaitGroup
	for i, seid := range seids {
		asking.Go(func() { is[i] = answers(ctx, g, seid) })
	}
	asking.Wait()
	var found []string
	for i, seid := range seids {
		if is[i] {
			found = append(found, seid)
		}
	}
	return found
}

// keep writes down which SEs are there.
func (m *memory) keep(ctx context.Context) error {
	text, err := json.Marshal(present(ctx, m.grid, m.grid.SEIDs()))
	if err != nil {
		return err
	}
	return statefile.Write(m.path, append(text, '\n'), 0o600)
}

// read returns what was written down, nothing where nothing was.
func (m *memory) read() ([]string, error) {
	text, err := statefile.Kept(maxMemory).Read(m.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var seids []string
	if err := json.Unmarshal(text, &seids); err != nil {
		return nil, fmt.Errorf("%s: %w", m.path, err)
	}
	return seids, nil
}

// errMissing says that SEs that were there before an update are not.
var errMissing = errors.New("not found as before the update")

// compare looks for the SEs until all are there or the context is done. The
// function that it returns tells what is missing yet.
func (m *memory) compare(ctx context.Context) func() error {
	m.sayRetired()
	var mu sync.Mutex
	missing := errors.New("the SEs are being looked for")
	go func() { // ends with the context
		for {
			err := m.missing(ctx)
			mu.Lock()
			missing = err
			mu.Unlock()
			if err == nil {
				m.log.Info("update: all SEs are there as before")
				return
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(time.Second):
			}
		}
	}()
	return func() error {
		mu.Lock()
		defer mu.Unlock()
		return missing
	}
}

// sayRetired says in the log which SEs are not looked for.
func (m *memory) sayRetired() {
	before, err := m.read()
	if err != nil {
		return // which is said as what is missing
	}
	gone := slices.DeleteFunc(before, func(seid string) bool { return !m.retired(seid) })
	if len(gone) > 0 {
		m.log.Warn("update: SEs that were there before are not in its configuration, and are not looked for", "seids", strings.Join(gone, ", "))
	}
}

func (m *memory) missing(ctx context.Context) error {
	want, err := m.read()
	if err != nil {
		return err
	}
	want = slices.DeleteFunc(want, m.retired)
	found := present(ctx, m.grid, want)
	lost := slices.DeleteFunc(want, func(seid string) bool { return slices.Contains(found, seid) })
	if len(lost) > 0 {
		return fmt.Errorf("%w: %s", errMissing, strings.Join(lost, ", "))
	}
	return nil
}
