package gp

import (
	"fmt"
	"io"
	"slices"

	"github.com/cloud-of-se/tses/apdu"
	"github.com/cloud-of-se/tses/drivers/softse/applet"
)

// AIDs of the issuer security domain, and of the built-in load file and module
// that security domains are made of.
var (
	ISD           = apdu.MustAID("A000000151000000")
	DomainPackage = apdu.MustAID("A0000001515350")
	DomainModule  = apdu.MustAID("A000000151535041")
)

// Bounds.
const (
	MaxState     = 4 << 20 // the state of a card in bytes
	MaxInstances = 64      // applications and security domains on a card
)

// Config says what a [Registry] stands on.
type Config struct {
	// Packages are the built-in load files, without that of the domains.
	Packages []applet.Package
	// Rand is a cryptographically secure source.
	Rand io.Reader
	// Save makes the state last; it does not keep the slice.
	Save func(state []byte) error
}

// Instance is one installed application or security domain.
type Instance struct {
	AID, Module, Package apdu.AID
	Domain               apdu.AID // the security domain that it is associated with; the ISD: itself
	State                State
	Privileges           Privileges
	App                  applet.Application

	// Selections is on how many logical channels it is selected. The
	// operating system counts.
	Selections int
}

// Registry is the GlobalPlatform registry of one card. It implements
// [applet.Card]. It is not safe for concurrent use.
type Registry struct {
	cfg        Config
	packages   []applet.Package // cfg's, behind that of the domains
	serial     [4]byte
	card       CardState
	instances  []*Instance // in the order of installation, the ISD first
	generation uint64
}

func prepare(cfg Config) *Registry {
	r := &Registry{cfg: cfg}
	r.packages = append([]applet.Package{r.domainPackage()}, cfg.Packages...)
	return r
}

// New is the registry of a fresh card: in the state OP_READY, with the issuer
// security domain and the test keys.
func New(cfg Config) (*Registry, error) {
	r := prepare(cfg)
	r.card = OpReady
	if _, err := io.ReadFull(cfg.Rand, r.serial[:]); err != nil {
		return nil, fmt.Errorf("making the card's serial number: %w", err)
	}
	r.serial[0] &= 0x7F // there are tools that take it for a signed number
	r.instances = []*Instance{{
		AID: ISD, Module: DomainModule, Package: DomainPackage, Domain: ISD,
		State: Personalized, Privileges: issuerPrivileges,
		App: &domain{r: r, aid: ISD, domainState: freshIssuer(r.serial)},
	}}
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

// taken tells whether an AID names something already.
func (r *Registry) taken(aid apdu.AID) bool {
	return r.instance(aid) != nil || r.loadFile(aid) != nil
}

func (r *Registry) instance(aid apdu.AID) *Instance {
	for _, in := range r.instances {
		if in.AID == aid {
			return in
		}
	}
	return nil
}

func (r *Registry) loadFile(aid apdu.AID) *applet.Package {
	for i := range r.packages {
		if r.packages[i].AID == aid {
			return &r.packages[i]
		}
	}
	return nil
}

func (r *Registry) module(pkg, module apdu.AID) *applet.Module {
	p := r.loadFile(pkg)
	if p == nil {
		return nil
	}
	for i := range p.Modules {
		if p.Modules[i].AID == module {
			return &p.Modules[i]
		}
	}
	return nil
}

// Find is the first selectable instance whose AID begins with aid, after the
// instance given, if any, in the order of the registry.
func (r *Registry) Find(aid apdu.AID, after *Instance) *Instance {
	from := 0
	if after != nil {
		from = slices.Index(r.instances, after) + 1
	}
	for _, in := range r.instances[from:] {
		if in.AID.Matches(aid) && r.Selectable(in) {
			return in
		}
	}
	return nil
}

// Issuer is the issuer security domain.
func (r *Registry) Issuer() *Instance { return r.instances[0] }

// Default is the application that is selected after a reset: that with the
// privilege, if it is selectable, or the issuer security domain.
func (r *Registry) Default() *Instance {
	for _, in := range r.instances[1:] {
		if in.Privileges.selected() && r.Selectable(in) {
			return in
		}
	}
	return r.instances[0]
}

// Selectable tells whether an instance may be, and stay, selected. On a
// locked or terminated card only the issuer security domain may.
func (r *Registry) Selectable(in *Instance) bool {
	if in == r.instances[0] {
		return true
	}
	return !r.Locked() && in.State.selectable() && slices.Contains(r.instances, in)
}

// Locked tells whether the card is in the state CARD_LOCKED or TERMINATED.
func (r *Registry) Locked() bool { return r.card == CardLocked || r.card == Terminated }

// Terminated tells whether the card is in the state TERMINATED.
func (r *Registry) Terminated() bool { return r.card == Terminated }

// Generation changes with every change of the registry.
func (r *Registry) Generation() uint64 { return r.generation }

// under tells whether an instance is associated with the domain, directly or
// through domains between.
func (r *Registry) under(in *Instance, sd apdu.AID) bool {
	for range r.instances { // a bound; there is no circle
		if in.Domain == sd {
			return true
		}
		if in.AID == ISD {
			return false
		}
		if in = r.instance(in.Domain); in == nil {
			return false
		}
	}
	return false
}

// Wipe clears the keys of the security domains, and the secrets of the
// applications that are an [applet.Wiper]. The registry must not be used after
// it.
func (r *Registry) Wipe() {
	for _, in := range r.instances {
		in.wipe()
	}
}

func (in *Instance) wipe() {
	if w, ok := in.App.(applet.Wiper); ok {
		w.Wipe()
	}
}
