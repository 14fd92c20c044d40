package gp

import "github.com/cloud-of-se/tses/apdu"

// P1 of SET STATUS (GlobalPlatform Card Specification 2.3.1, table 11-85).
const (
	statusIssuer  = 0x80
	statusApp     = 0x40
	statusSubtree = 0x60
)

// setStatus is SET STATUS: of the card by the issuer security domain, and
// locking and unlocking of what a domain manages.
func (s *session) setStatus(c apdu.Command) error {
	switch c.P1 {
	case statusIssuer:
		return s.setCardState(CardState(c.P2))
	case statusApp, statusSubtree:
		return s.setLock(c)
	}
	return apdu.SWIncorrectP1P2
}

func (s *session) setCardState(to CardState) error {
	if !s.d.issuer() || !s.r.card.mayBecome(to) {
		return apdu.SWConditionsNotSatisfied
	}
	return s.r.change(func() error {
		s.r.card = to
		return nil
	})
}

// setLock locks, where bit 8 of P2 is set, and unlocks an application, or a
// domain with all that is associated with it. The other bits must say the
// state that is there: the rest of the life cycle is the application's own
// affair.
func (s *session) setLock(c apdu.Command) error {
	in := s.r.instance(apdu.AID(c.Data))
	switch {
	case s.r.Locked():
		return apdu.SWConditionsNotSatisfied
	case in == nil || in.AID != ISD && !s.d.manages(in):
		return apdu.SWReferencedDataNotFound
	case in.AID == ISD, c.P1 == statusSubtree && !in.Privileges.domain():
		return apdu.SWConditionsNotSatisfied
	}
	all := []*Instance{in}
	if c.P1 == statusSubtree {
		all = s.r.dependents(in)
	}
	lock := State(c.P2) & Locked
	if in.State&Locked == lock || !plausible(State(c.P2)&^Locked, in.State&^Locked) {
		return apdu.SWConditionsNotSatisfied
	}
	return s.r.change(func() error {
		for _, in := range all {
			in.State = in.State&^Locked | lock
		}
		return nil
	})
}

// plausible tells whether the state bits of SET STATUS are those that are
// there, or left out, or those that hosts send without looking (SELECTABLE;
// all bits, as in FF).
func plausible(given, is State) bool {
	return given == is || given == 0 || given == AppReady || given == 0x7F
}
