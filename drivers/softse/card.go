package softse

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"sync"

	"github.com/cloud-of-se/tses/apdu"
	"github.com/cloud-of-se/tses/drivers"
	"github.com/cloud-of-se/tses/drivers/softse/applet"
	"github.com/cloud-of-se/tses/drivers/softse/gp"
)

// Card is one software SE. Like every [drivers.SE] it takes one call at a
// time.
type Card struct {
	name     string
	atr      []byte
	t0       bool
	store    Store
	report   func(error)
	registry *gp.Registry
	seen     uint64 // the registry's generation that the channels agree with

	on       bool
	channels [Channels]channel

	job   *job       // a long command that may still run, see long.go
	jobMu sync.Mutex // guards job.abandoned
}

var _ drivers.SE = (*Card)(nil)

// ErrClosed is matched by what is called after [Card.Close].
var ErrClosed = errors.New("the software SE is closed")

// New opens the card whose state opts.Store keeps, or makes a fresh one where
// it keeps none yet. A state that is not a card's, or damaged, matches
// [gp.ErrState].
func New(opts Opts) (*Card, error) {
	if err := opts.check(); err != nil {
		return nil, err
	}
	if opts.Rand == nil {
		opts.Rand = rand.Reader
	}
	atr, err := buildATR(opts.T0)
	if err != nil {
		return nil, fmt.Errorf("software SE %s: answer to reset: %w", opts.Name, err)
	}
	c := &Card{name: opts.Name, atr: atr, t0: opts.T0, store: opts.Store, report: opts.Report}
	if err := c.open(opts); err != nil {
		return nil, fmt.Errorf("%s: %w", c, err)
	}
	return c, nil
}

func (c *Card) open(opts Opts) error {
	cfg := gp.Config{Packages: opts.Packages, Rand: opts.Rand, Save: c.save}
	if c.store != nil {
		state, err := c.store.Load()
		if err == nil {
			defer clear(state)
			c.registry, err = gp.Load(cfg, state)
			return err
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("reading the state: %w", err)
		}
	}
	var err error
	if c.registry, err = gp.New(cfg); err != nil {
		return err
	}
	for _, in := range opts.preinstalled(c.registry) {
		if err := c.registry.Preinstall(in.Package, in.Module, in.AID, in.Params); err != nil {
			return err
		}
	}
	return c.registry.Commit()
}

func (o Opts) preinstalled(card applet.Card) []Instance {
	if o.Preinstalled != nil {
		return o.Preinstalled
	}
	var all []Instance
	for _, p := range o.Packages {
		for _, m := range p.Modules {
			aid := m.AID
			if m.InstanceAID != nil {
				aid = m.InstanceAID(card)
			}
			all = append(all, Instance{Package: p.AID, Module: m.AID, AID: aid})
		}
	}
	return all
}

func (c *Card) save(state []byte) error {
	if err := c.mayCommit(); err != nil || c.store == nil {
		return err
	}
	err := c.store.Save(state)
	if err == nil {
		return nil
	}
	err = fmt.Errorf("saving the state: %w", err)
	if c.report != nil {
		c.report(fmt.Errorf("%s: %w", c, err))
	}
	return err
}

// String is part of [drivers.SE].
func (c *Card) String() string { return "softse(" + c.name + ")" }

// PowerOn is part of [drivers.SE].
func (c *Card) PowerOn(ctx context.Context) ([]byte, error) {
	if err := c.ready(ctx, false); err != nil {
		return nil, fmt.Errorf("%s: power on: %w", c, err)
	}
	return c.reset(), nil
}

// Reset is part of [drivers.SE]. A program knows no difference between cold
// and warm.
func (c *Card) Reset(ctx context.Context, kind drivers.ResetKind) ([]byte, error) {
	if err := c.ready(ctx, true); err != nil {
		return nil, fmt.Errorf("%s: %s reset: %w", c, kind, err)
	}
	return c.reset(), nil
}

func (c *Card) reset() []byte {
	c.closeChannels()
	c.on, c.seen = true, c.registry.Generation()
	basic := &c.channels[0]
	basic.open = true
	// A default application that refuses its selection leaves the basic
	// channel without one; that is no reason to stay mute.
	_, _, _ = basic.choose(c.registry.Default())
	return append([]byte(nil), c.atr...)
}

// PowerOff is part of [drivers.SE]. It does not wait for a command that still
// runs; see the package comment.
func (c *Card) PowerOff(context.Context) error {
	c.on = false
	if !c.abandon() {
		c.closeChannels()
	}
	return nil
}

// Close powers the card off, waits for a command that still runs and wipes
// the keys of the security domains and the secrets of the applications that
// are an applet.Wiper. What is called later fails with
// [ErrClosed], except Close.
func (c *Card) Close() error {
	if c.registry == nil {
		return nil
	}
	// Neither call can fail: power off never does, and waiting has no end but
	// that of the command.
	_ = c.PowerOff(context.Background())
	_ = c.settle(context.Background())
	c.registry.Wipe()
	c.registry = nil
	return nil
}

// ready tells whether the card can take a call, one that needs power or not,
// and waits for the command of an earlier one that may still run.
func (c *Card) ready(ctx context.Context, power bool) error {
	if c.registry == nil {
		return ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if power && !c.on {
		return drivers.ErrPoweredOff
	}
	return c.settle(ctx)
}

// Transmit is part of [drivers.SE].
func (c *Card) Transmit(ctx context.Context, command []byte) (answer []byte, err error) {
	defer contain(c, &err)
	if err := c.ready(ctx, true); err != nil {
		return nil, fmt.Errorf("%s: transmit: %w", c, err)
	}
	cmd, err := apdu.Parse(command)
	if err != nil {
		return apdu.Response{SW: apdu.SWWrongLength}.Bytes(), nil
	}
	if answer, err = c.dispatch(ctx, cmd); err != nil {
		return nil, fmt.Errorf("%s: transmit %02X %02X: %w", c, cmd.CLA, cmd.INS, err)
	}
	return answer, nil
}
