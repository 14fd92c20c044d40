package piv

import "github.com/cloud-of-se/tses/apdu"

// slotNone is the destination of a key that is to be deleted.
const slotNone slot = 0xFF

// moveKey is the extension MOVE KEY: P1 destination, P2 source. The key goes
// with its origin and policies into a slot that is empty; destination FF
// deletes it. The attestation key can be deleted, not moved: nothing else may
// sign with it, nor another key become it.
func (s *selection) moveKey(c apdu.Command) error {
	to, from := slot(c.P1), slot(c.P2)
	switch {
	case !from.valid(), to != slotNone && !to.valid(), to == from:
		return apdu.SWIncorrectP1P2
	case to == slotAttestation, from == slotAttestation && to != slotNone:
		return apdu.SWIncorrectP1P2
	case len(c.Data) != 0:
		return apdu.SWWrongLength
	}
	if err := s.needManagement(); err != nil {
		return err
	}
	keys := s.app.state.keys
	k, ok := keys[from]
	if !ok {
		return apdu.SWReferencedDataNotFound
	}
	if _, taken := keys[to]; taken {
		return apdu.SWConditionsNotSatisfied
	}
	delete(keys, from)
	if to != slotNone {
		keys[to] = k
	}
	err := s.app.commit(func() {
		delete(keys, to)
		keys[from] = k
	})
	if err == nil && to == slotNone {
		k.wipe()
	}
	return err
}
