package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/cloud-of-se/tses/drivers"
	"github.com/cloud-of-se/tses/drivers/softse"
	"github.com/cloud-of-se/tses/drivers/softse/vault"
	"github.com/cloud-of-se/tses/grid"
)

const (
	stateKeyFile = "state.key" // seals the states of software SEs
	elementsDir  = "elements"
)

// openers open the drivers that the configuration can name, but for pcscDriver
// and wireDrivers.
var openers = map[string]func(state string, e elementConfig, log *slog.Logger) (drivers.SE, io.Closer, error){
	"softse": openSoftSE,
}

func driverNames() []string {
	names := append(slices.Collect(maps.Keys(openers)), pcscDriver)
	return slices.Sorted(slices.Values(append(names, wireDrivers...)))
}

// openElements puts every configured SE into a grid. One that cannot be opened
// is logged and stands in the grid as absent; the others serve. close ends the
// drivers when the grid is used no more.
func openElements(c config, state string, m *machine, log *slog.Logger) (g *grid.Grid, close func() error, err error) {
	wires, err := newChips(c, m, log)
	if err != nil {
		return nil, nil, err
	}
	g = grid.New()
	var closers []io.Closer
	close = func() error {
		var errs []error
		for _, c := range closers {
			errs = append(errs, c.Close())
		}
		return errors.Join(errs...)
	}
	orphans := findOrphans(c, state)
	host := newReaders(g, c.PCSC.Readers, log)
	for _, e := range c.Elements {
		if err := grid.CheckSEID(e.SEID); err != nil {
			return nil, nil, errors.Join(err, close())
		}
		open := openers[e.Driver]
		switch {
		case e.Driver == pcscDriver:
			open = host.open
		case e.wired():
			open = wires.open
		}
		se, closer, err := open(state, e, log)
		if err != nil {
			log.Error("element is out of service", "seid", e.SEID, "err", err)
			se = absent{name: fmt.Sprintf("%s(%s)", e.Driver, e.SEID), why: err}
		} else {
			log.Info("element", "seid", e.SEID, "driver", se.String())
			closers = append(closers, closer)
		}
		if err := addElement(g, e, se); err != nil {
			return nil, nil, errors.Join(err, close())
		}
	}
	orphans.tell(state, log)
	closers = append(closers, host)
	host.start() // last: a SEID of the configuration is not taken by a card that is found
	return g, close, nil
}

func addElement(g *grid.Grid, e elementConfig, se drivers.SE) error {
	if err := g.Add(e.SEID, se); err != nil {
		return err
	}
	for _, alias := range e.Aliases {
		if err := g.Alias(alias, e.SEID); err != nil {
			return err
		}
	}
	if e.Share {
		return g.Share(e.SEID)
	}
	return nil
}

// openSoftSE opens a software SE whose state is sealed in the state directory.
func openSoftSE(state string, e elementConfig, log *slog.Logger) (drivers.SE, io.Closer, error) {
	if err := lostState(state, e.SEID); err != nil {
		return nil, nil, err
	}
	key, err := loadKey(state)
	if errors.Is(err, errKeyGone) || errors.Is(err, vault.ErrKeyFile) {
		claimLoss(state, err.Error(), log)
		return nil, nil, errors.Join(lostState(state, e.SEID), err)
	}
	if err != nil {
		return nil, nil, err
	}
	defer key.Wipe()
	file, err := vault.Open(filepath.Join(state, elementsDir), key, e.SEID)
	if isLost(err) {
		claimLoss(state, fmt.Sprintf("of %s %v", e.SEID, err), log, e.SEID)
		return nil, nil, errors.Join(lostState(state, e.SEID), err)
	}
	if err != nil {
		return nil, nil, err
	}
	opts := softse.DefaultOpts()
	opts.Name, opts.Store, opts.Packages = e.SEID, file, softPackages()
	opts.Report = func(err error) { log.Error("the state of a software SE cannot be saved", "seid", e.SEID, "err", err) }
	card, err := softse.New(opts)
	if err != nil {
		return nil, nil, errors.Join(err, file.Close())
	}
	return card, closers{card, file}, nil
}

// isLost tells whether a sealed state will not be opened again without a
// decision, which on a box nobody could make but by accepting its loss. One of
// an unknown version is not: another version of this program opens it.
func isLost(err error) bool {
	return slices.ContainsFunc([]error{vault.ErrDamaged, vault.ErrSwapped, vault.ErrRollback, vault.ErrMissing, vault.ErrLedger},
		func(lost error) bool { return errors.Is(err, lost) })
}

// errKeyGone says that there are sealed states, and not the key to them.
var errKeyGone = errors.New("the key of the software SEs is gone: restore it from a copy, or move the directory of their states away to begin anew")

// loadKey loads the key that seals the states of software SEs, and makes it
// where nothing is sealed yet. Another key in the place of one that is gone
// would open nothing.
func loadKey(state string) (*vault.SecretKey, error) {
	path := filepath.Join(state, stateKeyFile)
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		sealed, err := filepath.Glob(filepath.Join(state, elementsDir, "*.state"))
		if err != nil {
			return nil, err
		}
		if len(sealed) > 0 {
			return nil, fmt.Errorf("%s: %w", path, errKeyGone)
		}
	}
	return vault.LoadKey(path)
}

// closers closes in order.
type closers []io.Closer

func (cs closers) Close() error {
	var errs []error
	for _, c := range cs {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// absent stands for an SE that cannot be opened, so that its users are told
// why.
type absent struct {
	name string
	why  error
}

func (a absent) PowerOn(context.Context) ([]byte, error) {
	return nil, fmt.Errorf("%w: %w", drivers.ErrNoCard, a.why)
}

func (a absent) Reset(context.Context, drivers.ResetKind) ([]byte, error) {
	return nil, drivers.ErrPoweredOff
}

func (a absent) Transmit(context.Context, []byte) ([]byte, error) {
	return nil, drivers.ErrPoweredOff
}

func (a absent) PowerOff(context.Context) error { return nil }

func (a absent) String() string { return a.name }
