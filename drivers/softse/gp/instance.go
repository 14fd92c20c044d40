package gp

import (
	"fmt"

	"github.com/cloud-of-se/tses/apdu"
)

// Preinstall makes a selectable instance of a built-in module, associated
// with the issuer security domain, on a card that is being made. It does not
// commit.
func (r *Registry) Preinstall(pkg, module, aid apdu.AID, params []byte) error {
	_, err := r.install(installation{pkg: pkg, module: module, aid: aid, params: params, domain: ISD, state: AppReady})
	if err != nil {
		return fmt.Errorf("application %s from module %s of package %s: %w", aid, module, pkg, err)
	}
	return nil
}

// installation is what an instance is made from.
type installation struct {
	pkg, module, aid, domain apdu.AID
	params                   []byte
	privileges               Privileges
	state                    State
}

// install makes an instance. Its errors are or wrap an [apdu.SW].
func (r *Registry) install(i installation) (*Instance, error) {
	m := r.module(i.pkg, i.module)
	switch {
	case m == nil:
		return nil, apdu.SWReferencedDataNotFound
	case len(i.aid) < 5 || len(i.aid) > 16 || r.taken(i.aid):
		return nil, apdu.SWWrongData
	case len(r.instances) >= MaxInstances:
		return nil, apdu.SWNotEnoughMemory
	case !i.privileges.within(allowed(i.module == DomainModule)):
		return nil, apdu.SWWrongData
	}
	if i.module == DomainModule {
		i.privileges[0] |= privDomain
	}
	app, err := m.Install(r, i.aid, i.params)
	if err != nil {
		return nil, err
	}
	in := &Instance{AID: i.aid, Module: i.module, Package: i.pkg, Domain: i.domain, State: i.state, Privileges: i.privileges, App: app}
	r.instances = append(r.instances, in)
	r.setDefault(in)
	return in, nil
}

// setDefault sees to it that one application at most has the privilege to be
// selected by default, beside the ISD, which is where no other can be.
func (r *Registry) setDefault(in *Instance) {
	if !in.Privileges.selected() {
		return
	}
	for _, other := range r.instances[1:] {
		if other != in {
			other.Privileges[0] &^= privDefault
		}
	}
}
