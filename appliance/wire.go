package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"slices"

	"github.com/cloud-of-se/tses/boards"
	"github.com/cloud-of-se/tses/drivers"
)

// wireDrivers are those of chips that hang on this machine's buses.
var wireDrivers = []string{boards.I2C, boards.SPI, boards.ISO7816}

func (e elementConfig) wired() bool { return slices.Contains(wireDrivers, e.Driver) }

// wiring reads where the element hangs.
func (e elementConfig) wiring() (boards.Wiring, error) {
	table := e.Element
	table.Driver = e.Driver
	return table.Wiring(e.SEID)
}

// checkWire tells what is wrong with where the element hangs.
func (e elementConfig) checkWire() error {
	if !e.wired() {
		if given := e.Element.Given(); len(given) > 0 {
			return fmt.Errorf("element %q: driver %q takes no %q", e.SEID, e.Driver, given[0])
		}
		return nil
	}
	_, err := e.wiring()
	return err
}

// machine is where chips hang. Tests bring simulated ones.
type machine struct {
	root  fs.FS
	ports boards.Ports
}

// chips opens the elements that hang on the machine's buses.
type chips struct {
	machine *machine
	board   *boards.Board
	refused map[string]error // by SEID
	log     *slog.Logger
}

// newChips looks at the machine, if there are such elements, and checks all
// wirings together before any of them gets power. m is nil for this machine.
func newChips(c config, m *machine, log *slog.Logger) (*chips, error) {
	all := &chips{machine: m, refused: make(map[string]error), log: log}
	var wirings []boards.Wiring
	for _, e := range c.Elements {
		if !e.wired() {
			continue
		}
		w, err := e.wiring()
		if err != nil {
			return nil, err
		}
		wirings = append(wirings, w)
	}
	if len(wirings) == 0 {
		return all, nil
	}
	if m == nil {
		all.machine = &machine{os.DirFS("/"), boards.Host()}
	}
	var err error
	if all.board, err = boards.Detect(all.machine.root); err != nil {
		return nil, err
	}
	for _, r := range all.board.Check(wirings...) {
		all.refused[r.Name] = errors.Join(all.refused[r.Name], r)
	}
	return all, nil
}

// open starts to drive an element. One that does not answer is tried again and
// again; one whose wiring cannot work is left without power.
func (c *chips) open(_ string, e elementConfig, _ *slog.Logger) (drivers.SE, io.Closer, error) {
	if err := c.refused[e.SEID]; err != nil {
		return nil, nil, err
	}
	w, err := e.wiring()
	if err != nil {
		return nil, nil, err
	}
	se := newRetrying(w.String(), func() (drivers.SE, io.Closer, error) {
		return c.board.Open(w, c.machine.ports)
	}, c.log.With("seid", e.SEID))
	return se, se, nil
}
