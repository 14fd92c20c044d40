//go:build !pcsc

package main

import (
	"errors"
	"io"
	"log/slog"

	"github.com/cloud-of-se/tses/drivers"
	"github.com/cloud-of-se/tses/grid"
)

// errNoPCSC says what this TSES was built without.
var errNoPCSC = errors.New("this TSES was built without PC/SC; build it with -tags pcsc, which needs cgo and libpcsclite-dev")

// readers says where the configuration asks for what is not built in.
type readers struct {
	found bool
	log   *slog.Logger
}

func newReaders(_ *grid.Grid, found bool, log *slog.Logger) *readers { return &readers{found, log} }

// open refuses an element; its users are told why.
func (*readers) open(string, elementConfig, *slog.Logger) (drivers.SE, io.Closer, error) {
	return nil, nil, errNoPCSC
}

func (r *readers) start() {
	if r.found {
		r.log.Warn("pcsc.readers is set and no reader is served", "err", errNoPCSC)
	}
}

// Close has nothing to end.
func (*readers) Close() error { return nil }
