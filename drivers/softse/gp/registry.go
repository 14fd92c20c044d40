// Package gp is the GlobalPlatform part of the software SE (Card
// Specification 2.3.1): the registry of load files and applications, and the
// security domains that manage it.
package gp

import (
	"fmt"
	"io"

	"github.com/cloud-of-se/tses/apdu"
	"github.com/cloud-of-se/tses/drivers/softse/applet"
)

// ISD is the AID of the issuer security domain.
var ISD = apdu.MustAID("A000000151000000")

// MaxState bounds the state of a card in bytes.
const MaxState = 4 << 20

// Config says what a [Registry] stands on.
type Config struct {
	Packages []applet.Package
	Rand     io.Reader
	Save     func(state []byte) error
}

// Instance is one installed application.
type Instance struct {
	AID, Module, Package apdu.AID
	App                  applet.Application
}

// Registry is the GlobalPlatform registry of one card. It implements
// [applet.Card].
type Registry struct {
	cfg       Config
	serial    [4]byte
	instances []*Instance // in the order of installation, the ISD first
}

// New is the registry of a fresh card.
func New(cfg Config) (*Registry, error) {
	r := &Registry{cfg: cfg}
	if _, err := io.ReadFull(cfg.Rand, r.serial[:]); err != nil {
		return nil, fmt.Errorf("making the card's serial number: %w", err)
	}
	r.instances = []*Instance{{AID: ISD, App: &domain{r: r}}}
	return r, nil
}

// Rand is part of [applet.Card].
func (r *Registry) Rand() io.Reader { return r.cfg.Rand }

// Serial is part of [applet.Card].
func (r *Registry) Serial() [4]byte { return r.serial }

// Commit is part of [applet.Card].
func (r *Registry) Commit() error {
	state, err := r.marshal()
	if err != nil {
		return err
	}
	defer clear(state)
	return r.cfg.Save(state)
}

// Add makes an instance of a built-in module.
func (r *Registry) Add(pkg, module, aid apdu.AID, params []byte) error {
	m := r.module(pkg, module)
	if m == nil {
		return fmt.Errorf("application %s: there is no module %s in a package %s", aid, module, pkg)
	}
	app, err := m.Install(r, aid, params)
	if err != nil {
		return fmt.Errorf("application %s: installing: %w", aid, err)
	}
	r.instances = append(r.instances, &Instance{AID: aid, Module: module, Package: pkg, App: app})
	return nil
}

func (r *Registry) module(pkg, module apdu.AID) *applet.Module {
	for i := range r.cfg.Packages {
		p := &r.cfg.Packages[i]
		for j := range p.Modules {
			if p.AID == pkg && p.Modules[j].AID == module {
				return &p.Modules[j]
			}
		}
	}
	return nil
}

// Find is the first instance that SELECT with the (partial) AID means, after
// the instance given, if any.
func (r *Registry) Find(aid apdu.AID, after *Instance) *Instance {
	skip := after != nil
	for _, in := range r.instances {
		if skip {
			skip = in != after
			continue
		}
		if in.AID.Matches(aid) {
			return in
		}
	}
	return nil
}

// Default is the application that is selected after a reset.
func (r *Registry) Default() *Instance { return r.instances[0] }
