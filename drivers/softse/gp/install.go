package gp

import (
	"github.com/cloud-of-se/tses/apdu"
)

// P1 of INSTALL (GlobalPlatform Card Specification 2.3.1, 11.5.2.1).
const (
	installForLoad        = 0x02
	installForInstall     = 0x04
	installForSelectable  = 0x08
	installForExtradition = 0x10
	installForPersonalize = 0x20
)

// noReceipt is the response data of management commands: no receipt follows.
var noReceipt = []byte{0x00}

// install is INSTALL. Without Authorized Management a domain may only hand
// STORE DATA on.
func (s *session) install(c apdu.Command) ([]byte, error) {
	if c.P2 != 0 {
		return nil, apdu.SWIncorrectP1P2
	}
	if c.P1 == installForPersonalize {
		return noReceipt, s.forPersonalization(c.Data)
	}
	if !s.d.instance().Privileges.authorized() {
		return nil, apdu.SWConditionsNotSatisfied
	}
	var err error
	switch c.P1 {
	case installForLoad:
		err = apdu.SWFunctionNotSupported
	case installForInstall, installForInstall | installForSelectable:
		err = s.forInstall(c)
	case installForSelectable:
		err = s.forSelectable(c.Data)
	case installForExtradition:
		err = s.forExtradition(c.Data)
	default:
		err = apdu.SWIncorrectP1P2
	}
	return noReceipt, err
}

// forInstall makes an instance, selectable or not (11.5.2.3.2).
func (s *session) forInstall(c apdu.Command) error {
	f := &fields{b: c.Data}
	i := installation{pkg: f.aid(), module: f.aid(), aid: f.aid(), domain: s.d.aid, state: Installed}
	privileges, ok := readPrivileges(f.next())
	params := f.next()
	f.empty() // token
	if err := f.end(); err != nil || !ok {
		return apdu.SWWrongData
	}
	if i.aid == "" {
		i.aid = i.module
	}
	if c.P1&installForSelectable != 0 {
		i.state = AppReady
	}
	if i.params, ok = applicationParameters(params); !ok {
		return apdu.SWWrongData
	}
	if privileges.selected() && !s.d.issuer() {
		return apdu.SWConditionsNotSatisfied // what a reset selects is the issuer's to say
	}
	i.privileges = privileges
	return s.r.change(func() error {
		_, err := s.r.install(i)
		return err
	})
}

// readPrivileges reads one byte, or three.
func readPrivileges(b []byte) (p Privileges, ok bool) {
	if len(b) != 1 && len(b) != len(p) {
		return p, false
	}
	copy(p[:], b)
	return p, true
}

// applicationParameters is the value of C9. System parameters (EF) must be
// well formed and are not used: there are no quotas.
func applicationParameters(b []byte) (value []byte, ok bool) {
	objects, err := apdu.ParseTLVs(b)
	if err != nil {
		return nil, false
	}
	for _, o := range objects {
		switch o.Tag {
		case 0xC9:
			value = o.Value
		case 0xEF, 0xEA: // system and telecom parameters
		default:
			return nil, false
		}
	}
	return value, true
}

// forSelectable makes an installed instance selectable (11.5.2.3.3). For one
// that is selectable already it can only give the privilege to be selected by
// default, which hosts do with this command.
func (s *session) forSelectable(data []byte) error {
	f := &fields{b: data}
	f.empty()
	f.empty()
	aid := f.aid()
	given := f.next()
	f.next() // parameters: none has a meaning here
	f.empty()
	if err := f.end(); err != nil {
		return err
	}
	var privileges Privileges
	if len(given) > 0 {
		var ok bool
		if privileges, ok = readPrivileges(given); !ok {
			return apdu.SWWrongData
		}
	}
	in := s.r.instance(aid)
	switch {
	case in == nil || !s.d.manages(in):
		return apdu.SWReferencedDataNotFound
	case !privileges.within(allowed(in.Privileges.domain())):
		return apdu.SWWrongData
	case privileges.selected() && !s.d.issuer():
		return apdu.SWConditionsNotSatisfied
	case in.State != Installed && !(in.State.selectable() && privileges.selected()):
		return apdu.SWConditionsNotSatisfied
	}
	return s.r.change(func() error {
		if in.State == Installed {
			in.State = AppReady
		}
		in.Privileges[0] |= privileges[0] & privDefault
		s.r.setDefault(in)
		return nil
	})
}

// forExtradition associates an instance with another domain (11.5.2.3.4).
func (s *session) forExtradition(data []byte) error {
	f := &fields{b: data}
	target := f.aid()
	f.empty()
	aid := f.aid()
	f.empty()
	f.next() // parameters: none has a meaning here
	f.empty()
	if err := f.end(); err != nil {
		return err
	}
	in, to := s.r.instance(aid), s.r.instance(target)
	switch {
	case in == nil || to == nil || !s.d.manages(in):
		return apdu.SWReferencedDataNotFound
	case !to.Privileges.domain() || !to.State.selectable() || to.AID != s.d.aid && !s.d.manages(to):
		return apdu.SWConditionsNotSatisfied
	case to == in || s.r.under(to, in.AID): // a circle
		return apdu.SWConditionsNotSatisfied
	}
	return s.r.change(func() error {
		in.Domain = to.AID
		return nil
	})
}
