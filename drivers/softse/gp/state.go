package gp

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/cloud-of-se/tses/apdu"
)

// ErrState is matched by every error of [Load]: the state is not a card's, or
// damaged, or of a card with other packages.
var ErrState = errors.New("not a state of this software SE")

// The format: magic with the version as last byte, serial number, card state,
// number of instances, instances. An instance: AID, module, package, domain,
// state, privileges, the application's own state.
const stateMagic = "TSESoft\x01"

func (r *Registry) marshal() ([]byte, error) {
	w := &writer{}
	w.raw([]byte(stateMagic)...)
	w.raw(r.serial[:]...)
	w.raw(byte(r.card), byte(len(r.instances)))
	for _, in := range r.instances {
		for _, aid := range []apdu.AID{in.AID, in.Module, in.Package, in.Domain} {
			w.short([]byte(aid))
		}
		w.raw(byte(in.State))
		w.raw(in.Privileges[:]...)
		state, err := in.App.Save()
		if err != nil {
			clear(w.b)
			return nil, fmt.Errorf("application %s: writing its state: %w", in.AID, err)
		}
		w.long(state)
		clear(state)
	}
	if len(w.b) > MaxState {
		clear(w.b)
		return nil, fmt.Errorf("the state has %d bytes, at most %d are possible", len(w.b), MaxState)
	}
	return w.b, nil
}

// Load is the registry that an earlier one gave to its Save. It keeps no part
// of the slice.
func Load(cfg Config, state []byte) (*Registry, error) {
	r := prepare(cfg)
	b, ok := bytes.CutPrefix(state, []byte(stateMagic))
	if !ok || len(state) > MaxState {
		return nil, fmt.Errorf("%w: it does not begin as one, or is too long", ErrState)
	}
	rd := &reader{b: b}
	copy(r.serial[:], rd.raw(len(r.serial)))
	r.card = CardState(rd.byte())
	n := int(rd.byte())
	if !r.card.valid() || n == 0 || n > MaxInstances {
		rd.fail("card state %02X with %d instances", byte(r.card), n)
	}
	states := make([][]byte, n)
	for i := 0; i < n && rd.err == nil; i++ {
		var in *Instance
		in, states[i] = rd.instance()
		r.instances = append(r.instances, in)
	}
	if err := rd.end(); err != nil {
		return nil, err
	}
	if err := r.check(); err != nil {
		return nil, err
	}
	return r, r.revive(states)
}

func (r *reader) instance() (*Instance, []byte) {
	in := &Instance{}
	for _, aid := range []*apdu.AID{&in.AID, &in.Module, &in.Package, &in.Domain} {
		*aid = apdu.AID(r.short())
	}
	in.State = State(r.byte())
	copy(in.Privileges[:], r.raw(len(in.Privileges)))
	return in, r.long()
}

// check tells whether the instances that were read can be a registry's.
func (r *Registry) check() error {
	first := r.instances[0]
	if first.AID != ISD || first.Module != DomainModule || first.Domain != ISD || first.State != Personalized || first.Privileges != issuerPrivileges {
		return fmt.Errorf("%w: the first instance is not the issuer security domain", ErrState)
	}
	for i, in := range r.instances {
		if err := r.checkOne(i, in); err != nil {
			return fmt.Errorf("%w: application %s: %w", ErrState, in.AID, err)
		}
	}
	return nil
}

func (r *Registry) checkOne(i int, in *Instance) error {
	above := r.instance(in.Domain)
	switch {
	case len(in.AID) < 5 || len(in.AID) > 16:
		return fmt.Errorf("its AID has %d bytes", len(in.AID))
	case r.instance(in.AID) != in:
		return errors.New("it is there twice")
	case r.module(in.Package, in.Module) == nil:
		return fmt.Errorf("module %s of package %s is not built in", in.Module, in.Package)
	case above == nil || !above.Privileges.domain() || !r.under(in, ISD):
		return fmt.Errorf("there is no security domain %s above it", in.Domain)
	case !in.State.valid():
		return fmt.Errorf("life cycle state %02X", byte(in.State))
	case in.Privileges.domain() != (in.Module == DomainModule),
		i > 0 && !in.Privileges.within(allowed(in.Privileges.domain())):
		return fmt.Errorf("privileges %X", in.Privileges)
	}
	return nil
}

// revive makes the applications from their states.
func (r *Registry) revive(states [][]byte) error {
	for i, in := range r.instances {
		own := bytes.Clone(states[i]) // the application's to keep
		app, err := r.module(in.Package, in.Module).Load(r, in.AID, own)
		if err != nil {
			return fmt.Errorf("%w: application %s: %w", ErrState, in.AID, err)
		}
		in.App = app
	}
	return nil
}
