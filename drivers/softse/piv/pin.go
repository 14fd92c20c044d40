package piv

import "github.com/cloud-of-se/tses/apdu"

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
	}
	pin := &s.app.state.pin
	if pin.left != 0 && len(c.Data) != referenceLength {
		return apdu.SWWrongData
	}
	s.setPIN(false)
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
// the PIN or the PUK. Who has changed the PIN has verified it; other
// selections, which had verified the old one, have to verify the new one.
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
	value, err := s.app.checkOld(r, c.Data)
	if err != nil {
		if c.P2 == refPIN {
			s.afterWrong(err)
		}
		return err
	}
	old := *r
	defer clear(old.value[:])
	r.replace(value)
	if err := s.app.commit(func() { *r = old }); err != nil {
		if c.P2 == refPIN {
			s.setPIN(false)
		}
		return err
	}
	if c.P2 == refPIN {
		s.app.pinEpoch++
		s.setPIN(true)
	}
	return nil
}

// resetRetryCounter is RESET RETRY COUNTER (SP 800-73-4 part 2, 3.2.3): the
// PUK gives the PIN a new value. Whether this selection has verified the PIN
// stays as it was, except that a wrong PUK ends it; others have to verify the
// new one.
func (s *selection) resetRetryCounter(c apdu.Command) error {
	switch {
	case c.P1 != 0:
		return apdu.SWIncorrectP1P2
	case c.P2 != refPIN:
		return apdu.SWReferencedDataNotFound
	}
	pin, puk := &s.app.state.pin, &s.app.state.puk
	had, fresh := s.hasPIN(), s.pinFresh
	value, err := s.app.checkOld(puk, c.Data)
	if err != nil {
		s.afterWrong(err)
		return err
	}
	oldPIN, oldPUK := *pin, *puk
	defer clear(oldPIN.value[:])
	defer clear(oldPUK.value[:])
	puk.left = puk.total
	pin.replace(value)
	if err := s.app.commit(func() { *pin, *puk = oldPIN, oldPUK }); err != nil {
		s.setPIN(false)
		return err
	}
	s.app.pinEpoch++
	s.setPIN(had)
	s.pinFresh = had && fresh
	return nil
}

// afterWrong ends what VERIFY has opened, unless the command was refused for
// what it asks: a blocked reference, or data that cannot be.
func (s *selection) afterWrong(err error) {
	if err != apdu.SWAuthMethodBlocked && err != apdu.SWWrongData {
		s.setPIN(false)
	}
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
