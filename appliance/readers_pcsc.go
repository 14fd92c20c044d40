package main

import (
	"context"
	"io"
	"log/slog"
	"time"

	"github.com/cloud-of-se/tses/drivers"
	"github.com/cloud-of-se/tses/drivers/pcsc"
	"github.com/cloud-of-se/tses/grid"
)

const (
	firstLook  = 3 * time.Second // for the readers that are there at the start
	removeTime = time.Second     // for the driver of a card that is gone
)

// readers serves the cards of the host's pcscd.
type readers struct {
	host *pcsc.Host
	used bool
}

func newReaders(g *grid.Grid, found bool, log *slog.Logger) *readers {
	opts := pcsc.Options{Log: log}
	if found {
		opts.Found = inventory{g}
	}
	return &readers{host: pcsc.NewHost(opts), used: found}
}

// open is the opener of an element.
func (r *readers) open(_ string, e elementConfig, _ *slog.Logger) (drivers.SE, io.Closer, error) {
	r.used = true
	se, err := r.host.Element(e.match())
	return se, closers{}, err
}

// start begins to watch the readers, where the configuration asks for any.
func (r *readers) start() {
	if r.used {
		ctx, cancel := context.WithTimeout(context.Background(), firstLook)
		defer cancel()
		r.host.Start(ctx)
	}
}

// Close ends the watch.
func (r *readers) Close() error { return r.host.Close() }

// inventory is the grid for cards that come and go.
type inventory struct{ grid *grid.Grid }

// Add implements [pcsc.Inventory].
func (i inventory) Add(seid string, se drivers.SE) error { return i.grid.Add(seid, se) }

// Remove implements [pcsc.Inventory].
func (i inventory) Remove(seid string) error {
	ctx, cancel := context.WithTimeout(context.Background(), removeTime)
	defer cancel()
	return i.grid.Remove(ctx, seid)
}
