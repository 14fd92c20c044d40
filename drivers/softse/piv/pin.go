package piv

import (
	"crypto/subtle"

	"github.com/cloud-of-se/tses/apdu"
)

const (
	defaultPIN   = "123456"
	defaultPUK   = "12345678"
	defaultTries = 3

	referenceLength = 8
	referenceMin    = 6
	padding         = 0xFF
)

// reference is the reference data of the PIN or the PUK with its retry
// counter (SP 800-73-4 part 2, 2.4.3).
type reference struct {
	value       [referenceLength]byte // padded with FF
	total, left byte                  // tries, left at most total
}

func newReference(value string, tries byte) reference {
	r := reference{total: tries, left: tries}
	n := copy(r.value[:], value)
	for i := n; i < len(r.value); i++ {
		r.value[i] = padding
	}
	return r
}

func (r *reference) isDefault(value string) bool {
	factory := newReference(value, defaultTries)
	return subtle.ConstantTimeCompare(r.value[:], factory.value[:]) == 1
}

// wellFormed tells whether v can become reference data: 6 to 8 bytes other
// than FF, then FF to 8.
func wellFormed(v []byte) bool {
	if len(v) != referenceLength {
		return false
	}
	n := len(v)
	for n > 0 && v[n-1] == padding {
		n--
	}
	for _, b := range v[:n] {
		if b == padding {
			return false
		}
	}
	return n >= referenceMin
}

// remaining is the status that tells the tries left. Its one digit cannot
// tell more than 15; GET METADATA tells the number.
func (r *reference) remaining() apdu.SW {
	return 0x63C0 | apdu.SW(min(r.left, 15))
}

// check takes one try, for good, and then compares. On success the try is not
// given back: the caller does that with the commit of what success brings.
func (a *application) check(r *reference, candidate []byte) error {
	if r.left == 0 {
		return apdu.SWAuthMethodBlocked
	}
	r.left--
	if err := a.commit(func() { r.left++ }); err != nil {
		return err
	}
	if subtle.ConstantTimeCompare(r.value[:], candidate) != 1 {
		return r.remaining()
	}
	return nil
}

// replace gives the reference data a new value and all its tries.
func (r *reference) replace(value []byte) {
	copy(r.value[:], value)
	r.left = r.total
}

// verify is VERIFY (SP 800-73-4 part 2, 3.2.1): with data it compares the
// PIN, without it tells the state, with P1=FF it resets the state.
func (s *selection) verify(c apdu.Command) error {
	switch {
	case c.P1 != 0 && c.P1 != 0xFF:
		return apdu.SWIncorrectP1P2
	case c.P2 != refPIN:
		return apdu.SWReferencedDataNotFound
	case c.P1 == 0xFF && len(c.Data) != 0:
		return apdu.SWWrongData
	case c.P1 == 0xFF:
		s.setPIN(false)
		return nil
	case len(c.Data) == 0:
		return s.pinStatus()
	case len(c.Data) != referenceLength:
		return apdu.SWWrongData
	}
	s.setPIN(false)
	pin := &s.app.state.pin
	if err := s.app.check(pin, c.Data); err != nil {
		return err
	}
	left := pin.left
	pin.left = pin.total
	if err := s.app.commit(func() { pin.left = left }); err != nil {
		return err
	}
	s.setPIN(true)
	return nil
}

func (s *selection) pinStatus() error {
	pin := &s.app.state.pin
	switch {
	case s.hasPIN():
		return nil
	case pin.left == 0:
		return apdu.SWAuthMethodBlocked
	}
	return pin.remaining()
}

// changeReferenceData is CHANGE REFERENCE DATA (SP 800-73-4 part 2, 3.2.2) of
// the PIN or the PUK. Other selections that had verified the old PIN have to
// verify the new one; this one keeps the state it had.
func (s *selection) changeReferenceData(c apdu.Command) error {
	r := &s.app.state.pin
	switch {
	case c.P1 != 0:
		return apdu.SWIncorrectP1P2
	case c.P2 == refPUK:
		r = &s.app.state.puk
	case c.P2 != refPIN:
		return apdu.SWReferencedDataNotFound
	}
	if len(c.Data) != 2*referenceLength || !wellFormed(c.Data[referenceLength:]) {
		return apdu.SWWrongData
	}
	had, fresh := s.hasPIN(), s.pinFresh
	if c.P2 == refPIN {
		s.setPIN(false)
	}
	if err := s.app.check(r, c.Data[:referenceLength]); err != nil {
		return err
	}
	old := *r
	defer clear(old.value[:])
	r.replace(c.Data[referenceLength:])
	if err := s.app.commit(func() { *r = old }); err != nil {
		return err
	}
	if c.P2 == refPIN {
		s.app.pinEpoch++
		s.setPIN(had)
		s.pinFresh = had && fresh
	}
	return nil
}

// resetRetryCounter is RESET RETRY COUNTER (SP 800-73-4 part 2, 3.2.3): the
// PUK gives the PIN a new value. No selection has the PIN verified after it.
func (s *selection) resetRetryCounter(c apdu.Command) error {
	switch {
	case c.P1 != 0:
		return apdu.SWIncorrectP1P2
	case c.P2 != refPIN:
		return apdu.SWReferencedDataNotFound
	case len(c.Data) != 2*referenceLength || !wellFormed(c.Data[referenceLength:]):
		return apdu.SWWrongData
	}
	pin, puk := &s.app.state.pin, &s.app.state.puk
	if err := s.app.check(puk, c.Data[:referenceLength]); err != nil {
		return err
	}
	oldPIN, oldPUK := *pin, *puk
	defer clear(oldPIN.value[:])
	defer clear(oldPUK.value[:])
	puk.left = puk.total
	pin.replace(c.Data[referenceLength:])
	if err := s.app.commit(func() { *pin, *puk = oldPIN, oldPUK }); err != nil {
		return err
	}
	s.app.pinEpoch++
	return nil
}

// setPINRetries is the extension SET PIN RETRIES: P1 tries for the PIN, P2
// for the PUK, 1 to 255. It needs the management key and the PIN, and gives
// both references their default values, as the tools tell their users.
func (s *selection) setPINRetries(c apdu.Command) error {
	if c.P1 == 0 || c.P2 == 0 {
		return apdu.SWIncorrectP1P2
	}
	if len(c.Data) != 0 {
		return apdu.SWWrongLength
	}
	if err := s.needManagement(); err != nil {
		return err
	}
	if !s.hasPIN() {
		return apdu.SWSecurityStatus
	}
	pin, puk := &s.app.state.pin, &s.app.state.puk
	oldPIN, oldPUK := *pin, *puk
	*pin, *puk = newReference(defaultPIN, c.P1), newReference(defaultPUK, c.P2)
	if err := s.app.commit(func() { *pin, *puk = oldPIN, oldPUK }); err != nil {
		return err
	}
	s.app.pinEpoch++
	return nil
}

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
