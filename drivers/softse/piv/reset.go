package piv

import "github.com/cloud-of-se/tses/apdu"

// reset is the extension RESET: back to the state of a new instance, for who
// has blocked both PIN and PUK. The attestation key and its certificate stay.
func (s *selection) reset(c apdu.Command) error {
	if err := noParameters(c); err != nil {
		return err
	}
	a := s.app
	if a.state.pin.left != 0 || a.state.puk.left != 0 {
		return apdu.SWConditionsNotSatisfied
	}
	old := a.state
	a.state = factoryState()
	if k, ok := old.keys[slotAttestation]; ok {
		a.state.keys[slotAttestation] = k
	}
	if cert, ok := old.objects[objectAttestation]; ok {
		a.state.objects[objectAttestation] = cert
	}
	if err := a.commit(func() { a.state = old }); err != nil {
		return err
	}
	a.pinEpoch++
	a.managementEpoch++
	old.wipeBut(slotAttestation)
	return nil
}

// wipeBut clears a state that was given up, except the key that lives on.
func (st *state) wipeBut(kept slot) {
	clear(st.pin.value[:])
	clear(st.puk.value[:])
	clear(st.management.value)
	for s, k := range st.keys {
		if s != kept {
			k.wipe()
		}
	}
}
