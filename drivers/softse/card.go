package softse

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"

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
	registry *gp.Registry
	on       bool
	selected applet.Selection
}

var _ drivers.SE = (*Card)(nil)

// New opens the card whose state opts.Store keeps, or makes a fresh one where
// it keeps none yet. A state that is not this card's matches [gp.ErrState].
func New(opts Opts) (*Card, error) {
	if err := opts.check(); err != nil {
		return nil, err
	}
	if opts.Rand == nil {
		opts.Rand = rand.Reader
	}
	c := &Card{name: opts.Name, atr: buildATR(opts.T0), t0: opts.T0, store: opts.Store}
	cfg := gp.Config{Packages: opts.Packages, Rand: opts.Rand, Save: c.save}
	err := c.open(opts, cfg)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c, err)
	}
	return c, nil
}

func (c *Card) open(opts Opts, cfg gp.Config) error {
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
	for _, in := range opts.preinstalled() {
		if err := c.registry.Add(in.Package, in.Module, in.AID, in.Params); err != nil {
			return err
		}
	}
	return c.registry.Commit()
}

func (o Opts) preinstalled() []Instance {
	if o.Preinstalled != nil {
		return o.Preinstalled
	}
	var all []Instance
	for _, p := range o.Packages {
		for _, m := range p.Modules {
			all = append(all, Instance{Package: p.AID, Module: m.AID, AID: m.AID})
		}
	}
	return all
}

func (c *Card) save(state []byte) error {
	if c.store == nil {
		return nil
	}
	return c.store.Save(state)
}

// String is part of [drivers.SE].
func (c *Card) String() string { return "softse(" + c.name + ")" }

// PowerOn is part of [drivers.SE].
func (c *Card) PowerOn(ctx context.Context) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("%s: power on: %w", c, err)
	}
	return c.reset()
}

// Reset is part of [drivers.SE].
func (c *Card) Reset(ctx context.Context, _ drivers.ResetKind) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("%s: reset: %w", c, err)
	}
	if !c.on {
		return nil, fmt.Errorf("%s: reset: %w", c, drivers.ErrPoweredOff)
	}
	return c.reset()
}

func (c *Card) reset() ([]byte, error) {
	c.deselect()
	s, _, err := c.registry.Default().App.Select()
	if err != nil {
		return nil, fmt.Errorf("%s: selecting the default application: %w", c, err)
	}
	c.on, c.selected = true, s
	return append([]byte(nil), c.atr...), nil
}

func (c *Card) deselect() {
	if c.selected != nil {
		c.selected.Close()
		c.selected = nil
	}
}

// PowerOff is part of [drivers.SE].
func (c *Card) PowerOff(context.Context) error {
	c.deselect()
	c.on = false
	return nil
}

// Close ends the card. It is not to be used any more.
func (c *Card) Close() error { return c.PowerOff(context.Background()) }

// Transmit is part of [drivers.SE].
func (c *Card) Transmit(ctx context.Context, command []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("%s: transmit: %w", c, err)
	}
	if !c.on {
		return nil, fmt.Errorf("%s: transmit: %w", c, drivers.ErrPoweredOff)
	}
	cmd, err := apdu.Parse(command)
	if err != nil {
		return apdu.Response{SW: apdu.SWWrongLength}.Bytes(), nil
	}
	return c.process(cmd).Bytes(), nil
}

func (c *Card) process(cmd apdu.Command) apdu.Response {
	if cmd.CLA == 0xFF || cmd.CLA&0x60 != 0 {
		return apdu.Response{SW: apdu.SWClass}
	}
	if apdu.Class(cmd.CLA).Channel() != 0 {
		return apdu.Response{SW: apdu.SWLogicalChannel}
	}
	if cmd.CLA == 0 && cmd.INS == apdu.INSSelect && cmd.P1 == 0x04 {
		return c.selectByAID(cmd)
	}
	return c.selected.Process(cmd)
}

func (c *Card) selectByAID(cmd apdu.Command) apdu.Response {
	if cmd.P2 != 0 {
		return apdu.Response{SW: apdu.SWIncorrectP1P2}
	}
	in := c.registry.Find(apdu.AID(cmd.Data), nil)
	if in == nil {
		return apdu.Response{SW: apdu.SWFileNotFound}
	}
	s, fci, err := in.App.Select()
	if err != nil {
		var sw apdu.SW
		if errors.As(err, &sw) {
			return apdu.Response{SW: sw}
		}
		return apdu.Response{SW: apdu.SWUnknown}
	}
	c.deselect()
	c.selected = s
	return apdu.Response{Data: fci, SW: apdu.SWSuccess}
}
