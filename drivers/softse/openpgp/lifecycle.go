package openpgp

import "github.com/cloud-of-se/tses/apdu"

// terminate is TERMINATE DF (clause 7.2.16), for who has shown PW3, and for
// everybody when PW1 and PW3 are blocked: a card that nobody can use. All that
// was on the card is gone with it, not only with ACTIVATE FILE.
func (s *selection) terminate(c apdu.Command) error {
	if err := noParameters(c); err != nil {
		return err
	}
	pw := &s.app.state.passwords
	if blocked := pw[pw1].left == 0 && pw[pw3].left == 0; !blocked && !s.has(admin) {
		return apdu.SWSecurityStatus
	}
	old := s.app.state
	err := s.app.change(func(st *state) {
		*st = factoryState()
		st.terminated = true
	})
	if err != nil {
		return err
	}
	for r := range s.app.epochs {
		s.app.epochs[r]++
	}
	old.wipe()
	return nil
}

// activate is ACTIVATE FILE (clause 7.2.17): a terminated application begins
// anew. One that is not terminated stays as it is.
func (s *selection) activate(c apdu.Command) error {
	if err := noParameters(c); err != nil {
		return err
	}
	if !s.app.state.terminated {
		return nil
	}
	return s.app.change(func(st *state) { st.terminated = false })
}
