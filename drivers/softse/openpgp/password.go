package openpgp

import (
	"bytes"
	"crypto/subtle"

	"github.com/cloud-of-se/tses/apdu"
)

// reference is one of the card's passwords (clause 4.3).
type reference int

const (
	pw1       reference = iota // the holder's
	resetCode                  // gives PW1 a new value; none on a fresh card
	pw3                        // the administrator's
	passwords
)

const (
	defaultPW1   = "123456"
	defaultPW3   = "12345678"
	defaultTries = 3
	maxTries     = 99
	maxPassword  = 127
)

// least is the shortest value that the password may have.
func (r reference) least() int {
	if r == pw1 {
		return 6
	}
	return 8
}

// possible tells whether n bytes can be the password.
func (r reference) possible(n int) bool { return n >= r.least() && n <= maxPassword }

// password is reference data with its retry counter. Its value is never written
// to. One of no bytes is not set, and has no tries.
type password struct {
	value       []byte
	total, left byte
}

func factoryPasswords() [passwords]password {
	return [passwords]password{
		pw1:       {value: []byte(defaultPW1), total: defaultTries, left: defaultTries},
		resetCode: {total: defaultTries},
		pw3:       {value: []byte(defaultPW3), total: defaultTries, left: defaultTries},
	}
}

// with is the password with another value and all its tries.
func (p password) with(value []byte) password {
	return password{value: bytes.Clone(value), total: p.total, left: p.total}
}

// remaining is the status that tells the tries left. Its one digit cannot tell
// more than 15; DO C4 tells the number.
func (p password) remaining() apdu.SW { return 0x63C0 | apdu.SW(min(p.left, 15)) }

// is compares in constant time, whatever the lengths are.
func (p password) is(candidate []byte) bool {
	var a, b [maxPassword]byte
	copy(a[:], p.value)
	copy(b[:], candidate)
	same := subtle.ConstantTimeCompare(a[:], b[:]) & subtle.ConstantTimeEq(int32(len(p.value)), int32(len(candidate)))
	clear(a[:])
	clear(b[:])
	return same == 1 && len(p.value) > 0
}

// check takes one try, for good, and then compares. On success the try is not
// given back: the caller does that with the commit of what success brings.
func (a *application) check(r reference, candidate []byte) error {
	if a.state.passwords[r].left == 0 {
		return apdu.SWAuthMethodBlocked
	}
	if err := a.change(func(st *state) { st.passwords[r].left-- }); err != nil {
		return err
	}
	if !a.state.passwords[r].is(candidate) {
		return a.state.passwords[r].remaining()
	}
	return nil
}

// checkOld splits data in the old value, which is as long as the one that is
// set, and the new one of PW r, and compares and counts the former first. A new
// value that cannot be is told to who knows the old one alone, and leaves the
// tries as they were.
func (a *application) checkOld(old, r reference, data []byte) (value []byte, err error) {
	before := a.state.passwords[old]
	n := min(len(before.value), len(data))
	if err := a.check(old, data[:n]); err != nil {
		return nil, err
	}
	if value = data[n:]; r.possible(len(value)) {
		return value, nil
	}
	if err := a.change(func(st *state) { st.passwords[old].left = before.left }); err != nil {
		return nil, err
	}
	return nil, apdu.SWWrongData
}

// replace gives a password a new value, which ends what all selections have
// proven of the old one.
func (a *application) replace(r reference, value []byte, also func(st *state)) error {
	old := a.state.passwords[r].value
	err := a.change(func(st *state) {
		st.passwords[r] = st.passwords[r].with(value)
		if also != nil {
			also(st)
		}
	})
	if err == nil {
		clear(old)
		a.epochs[r]++
	}
	return err
}

// proofOf is the proof that P2 of a command names.
func proofOf(p2 byte) (proof, error) {
	switch p2 {
	case 0x81:
		return toSign, nil
	case 0x82:
		return toUse, nil
	case 0x83:
		return admin, nil
	}
	return 0, apdu.SWIncorrectP1P2
}

// verify is VERIFY (clause 7.2.2): with data it compares, without it tells the
// state, with P1=FF it resets it. What has any length is compared and counted:
// the length of a password is a part of it.
func (s *selection) verify(c apdu.Command) error {
	p, err := proofOf(c.P2)
	switch {
	case err != nil || c.P1 != 0 && c.P1 != 0xFF:
		return apdu.SWIncorrectP1P2
	case c.P1 == 0xFF && len(c.Data) != 0:
		return apdu.SWWrongData
	case c.P1 == 0xFF:
		s.set(p, false)
		return nil
	case len(c.Data) == 0:
		return s.status(p)
	}
	s.set(p, false)
	if err := s.app.check(p.of(), c.Data); err != nil {
		return err
	}
	if err := s.app.change(func(st *state) { st.passwords[p.of()].left = st.passwords[p.of()].total }); err != nil {
		return err
	}
	s.set(p, true)
	return nil
}

func (s *selection) status(p proof) error {
	switch pw := s.app.state.passwords[p.of()]; {
	case s.has(p):
		return nil
	case pw.left == 0:
		return apdu.SWAuthMethodBlocked
	default:
		return pw.remaining()
	}
}

// changeReferenceData is CHANGE REFERENCE DATA (clause 7.2.3) of PW1 or PW3. The
// security status of this selection stays as it is, except that a wrong
// password ends it; others have to verify the new one.
func (s *selection) changeReferenceData(c apdu.Command) error {
	r := pw1
	switch {
	case c.P1 != 0:
		return apdu.SWIncorrectP1P2
	case c.P2 == 0x83:
		r = pw3
	case c.P2 != 0x81:
		return apdu.SWIncorrectP1P2
	}
	value, err := s.app.checkOld(r, r, c.Data)
	if err != nil {
		s.afterWrong(r, err)
		return err
	}
	had := s.provenOf(r)
	if err := s.app.replace(r, value, nil); err != nil {
		s.forget(r)
		return err
	}
	s.keep(had)
	return nil
}

// resetRetryCounter is RESET RETRY COUNTER (clause 7.2.4): the resetting code
// (P1 00), or who has shown PW3 (P1 02), gives PW1 a new value.
func (s *selection) resetRetryCounter(c apdu.Command) error {
	value, also := c.Data, func(*state) {}
	switch {
	case c.P2 != 0x81 || c.P1 != 0 && c.P1 != 2:
		return apdu.SWIncorrectP1P2
	case c.P1 == 0:
		var err error
		if value, err = s.app.checkOld(resetCode, pw1, c.Data); err != nil {
			return err
		}
		also = func(st *state) { st.passwords[resetCode].left = st.passwords[resetCode].total }
	default:
		if err := s.need(admin); err != nil {
			return err
		}
		if !pw1.possible(len(value)) {
			return apdu.SWWrongData
		}
	}
	return s.app.replace(pw1, value, also)
}

// setPINRetries is an extension: three bytes of tries for PW1, the resetting
// code and PW3, which all of them then have. It needs PW3.
func (s *selection) setPINRetries(c apdu.Command) error {
	if c.P1 != 0 || c.P2 != 0 {
		return apdu.SWIncorrectP1P2
	}
	if err := s.need(admin); err != nil {
		return err
	}
	if len(c.Data) != int(passwords) {
		return apdu.SWWrongLength
	}
	for _, n := range c.Data {
		if n < 1 || n > maxTries {
			return apdu.SWWrongData
		}
	}
	return s.app.change(func(st *state) {
		for r := range st.passwords {
			p := &st.passwords[r]
			p.total, p.left = c.Data[r], 0
			if len(p.value) > 0 {
				p.left = p.total
			}
		}
	})
}

// afterWrong ends what was proven of a password, unless the command was refused
// for what it asks.
func (s *selection) afterWrong(r reference, err error) {
	if err != apdu.SWAuthMethodBlocked && err != apdu.SWWrongData {
		s.forget(r)
	}
}

func (s *selection) forget(r reference) {
	for p := range s.proven {
		if proof(p).of() == r {
			s.set(proof(p), false)
		}
	}
}

// provenOf is what this selection has proven of a password.
func (s *selection) provenOf(r reference) (had []proof) {
	for p := range s.proven {
		if proof(p).of() == r && s.has(proof(p)) {
			had = append(had, proof(p))
		}
	}
	return had
}

func (s *selection) keep(had []proof) {
	for _, p := range had {
		s.set(p, true)
	}
}
