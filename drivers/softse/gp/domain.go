package gp

import (
	"github.com/cloud-of-se/tses/apdu"
	"github.com/cloud-of-se/tses/drivers/softse/applet"
)

// domain is a security domain as an application.
type domain struct {
	r   *Registry
	aid apdu.AID
	domainState
}

func (r *Registry) domainPackage() applet.Package {
	return applet.Package{
		AID: DomainPackage, Major: 1, Minor: 0,
		Modules: []applet.Module{{
			AID: DomainModule,
			Install: func(_ applet.Card, aid apdu.AID, _ []byte) (applet.Application, error) {
				return &domain{r: r, aid: aid}, nil
			},
			Load: func(_ applet.Card, aid apdu.AID, state []byte) (applet.Application, error) {
				d, err := readDomain(state)
				if err != nil {
					return nil, err
				}
				return &domain{r: r, aid: aid, domainState: d}, nil
			},
		}},
	}
}

// maxCommand is what the FCI says of the longest command data field.
const maxCommand = 0xFF

// Select is part of [applet.Application]. The FCI is that of GlobalPlatform
// Card Specification 2.3.1, 11.9.3.1.
func (d *domain) Select() (applet.Selection, []byte, error) {
	fci := apdu.AppendTLV(make([]byte, 0, 32), 0x84, []byte(d.aid))
	fci = apdu.AppendTLV(fci, 0xA5, []byte{0x9F, 0x65, 0x01, maxCommand})
	return &session{d: d, r: d.r}, apdu.AppendTLV(make([]byte, 0, 32), 0x6F, fci), nil
}

// Save is part of [applet.Application].
func (d *domain) Save() ([]byte, error) { return d.marshal(), nil }

// Wipe is part of [applet.Wiper].
func (d *domain) Wipe() { d.domainState.wipe() }

// instance is the domain's own entry of the registry.
func (d *domain) instance() *Instance { return d.r.instance(d.aid) }

func (d *domain) issuer() bool { return d.aid == ISD }

// manages tells whether the instance is this domain's to manage.
func (d *domain) manages(in *Instance) bool {
	return in.AID != ISD && d.r.under(in, d.aid)
}

// keyHolder is the domain whose key sets are used for this one: itself, or
// the next one above it that has any.
func (d *domain) keyHolder() *domain {
	for len(d.sets) == 0 && !d.issuer() {
		above, ok := d.r.instance(d.instance().Domain).App.(*domain)
		if !ok {
			return d
		}
		d = above
	}
	return d
}
