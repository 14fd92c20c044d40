package openpgp

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/cloud-of-se/tses/apdu"
)

// Data objects (clause 4.4.1).
const (
	doPrivate      = apdu.Tag(0x0101) // to 0104
	doAID          = apdu.Tag(0x4F)
	doName         = apdu.Tag(0x5B)
	doLogin        = apdu.Tag(0x5E)
	doLanguage     = apdu.Tag(0x5F2D)
	doSex          = apdu.Tag(0x5F35)
	doURL          = apdu.Tag(0x5F50)
	doHistorical   = apdu.Tag(0x5F52)
	doHolder       = apdu.Tag(0x65)
	doApplication  = apdu.Tag(0x6E)
	doDiscretions  = apdu.Tag(0x73)
	doSecurity     = apdu.Tag(0x7A)
	doCertificate  = apdu.Tag(0x7F21)
	doExtendedInfo = apdu.Tag(0x7F66)
	doCounter      = apdu.Tag(0x93)
	doCapabilities = apdu.Tag(0xC0)

	doAlgorithmSign   = apdu.Tag(0xC1) // to C3
	doPasswordStatus  = apdu.Tag(0xC4)
	doFingerprints    = apdu.Tag(0xC5)
	doCAFingerprints  = apdu.Tag(0xC6)
	doFingerprintSign = apdu.Tag(0xC7) // to C9
	doCASign          = apdu.Tag(0xCA) // to CC
	doTimes           = apdu.Tag(0xCD)
	doTimeSign        = apdu.Tag(0xCE) // to D0
	doResetCode       = apdu.Tag(0xD3)
	doAES             = apdu.Tag(0xD5)
	doInteraction     = apdu.Tag(0xD6) // to D8, and D9 of an attestation key
	doKeyInformation  = apdu.Tag(0xDE)
	doKDF             = apdu.Tag(0xF9)
	doAlgorithms      = apdu.Tag(0xFA)
)

// Bounds of what is kept, in bytes, which DO C0 tells.
const (
	maxCertificate = 4096
	maxSpecial     = 2048
	maxName        = 39
)

// kept is a data object that is kept as it comes: who may write it, and what it
// may be.
type kept struct {
	write proof
	max   int
	valid func(value []byte) bool
}

func anything([]byte) bool { return true }

var objects = map[apdu.Tag]kept{
	doPrivate:     {toUse, maxSpecial, anything},
	doPrivate + 1: {admin, maxSpecial, anything},
	doPrivate + 2: {toUse, maxSpecial, anything},
	doPrivate + 3: {admin, maxSpecial, anything},
	doName:        {admin, maxName, anything},
	doLogin:       {admin, maxSpecial, anything},
	doLanguage:    {admin, 8, func(v []byte) bool { return len(v)%2 == 0 }},
	doSex:         {admin, 1, func(v []byte) bool { return len(v) == 0 || slices.Contains([]byte("0129"), v[0]) }},
	doURL:         {admin, maxSpecial, anything},

	doInteraction:     {admin, 2, interaction},
	doInteraction + 1: {admin, 2, interaction},
	doInteraction + 2: {admin, 2, interaction},
	doInteraction + 3: {admin, 2, interaction},
}

// interaction tells whether a value says that a key is to be used when a button
// is touched, or not (clause 4.4.3.6, and the cached ways of the extensions). It
// is kept and told, and nothing more: there is nothing to touch.
func interaction(v []byte) bool { return len(v) == 2 && v[0] <= 4 }

// readers are who may read what not everybody may.
var readers = map[apdu.Tag]proof{doPrivate + 2: toUse, doPrivate + 3: admin}

// tagOf is the tag that P1 and P2 name.
func tagOf(c apdu.Command) apdu.Tag { return apdu.Tag(c.P1)<<8 | apdu.Tag(c.P2) }

// getData is GET DATA (clause 7.2.6). What may be there and is not is empty.
func (s *selection) getData(c apdu.Command) ([]byte, error) {
	if len(c.Data) != 0 {
		return nil, apdu.SWWrongLength
	}
	tag := tagOf(c)
	if p, ok := readers[tag]; ok {
		if err := s.need(p); err != nil {
			return nil, err
		}
	}
	if tag == doCertificate {
		return bytes.Clone(s.app.state.certs[s.certificate]), nil
	}
	value, ok := s.app.object(tag)
	if !ok {
		return nil, apdu.SWReferencedDataNotFound
	}
	if wrapped(tag) {
		return apdu.AppendTLV(nil, tag, value), nil
	}
	return value, nil
}

// wrapped tells whether the answer to GET DATA has the tag itself around the
// value. The templates of others do, on the cards that terminals know.
func wrapped(tag apdu.Tag) bool {
	switch tag {
	case doHolder, doApplication, doDiscretions, doSecurity, doAlgorithms:
		return true
	}
	return false
}

// getNextData is GET NEXT DATA (clause 7.2.7): the next occurrence of the
// certificate.
func (s *selection) getNextData(c apdu.Command) ([]byte, error) {
	switch {
	case len(c.Data) != 0:
		return nil, apdu.SWWrongLength
	case tagOf(c) != doCertificate, s.certificate+1 >= int(slots):
		return nil, apdu.SWReferencedDataNotFound
	}
	s.certificate++
	return bytes.Clone(s.app.state.certs[s.certificate]), nil
}

// selectData is SELECT DATA (clause 7.2.5): P1 the occurrence, P2 04, and a tag
// list with the certificate's.
func (s *selection) selectData(c apdu.Command) error {
	want := apdu.AppendTLV(nil, 0x60, apdu.AppendTLV(nil, 0x5C, []byte{0x7F, 0x21}))
	switch {
	case c.P2 != 0x04:
		return apdu.SWIncorrectP1P2
	case !bytes.Equal(c.Data, want):
		return apdu.SWWrongData
	case c.P1 >= byte(slots):
		return apdu.SWReferencedDataNotFound
	}
	s.certificate = int(c.P1)
	return nil
}

// putData is PUT DATA (clause 7.2.8).
func (s *selection) putData(c apdu.Command) error {
	tag, v := tagOf(c), bytes.Clone(c.Data)
	if o, ok := objects[tag]; ok {
		if err := s.need(o.write); err != nil {
			return err
		}
		if len(v) > o.max || !o.valid(v) {
			return apdu.SWWrongData
		}
		return s.app.change(func(st *state) { st.objects[tag] = v })
	}
	write, ok := s.writer(tag)
	if !ok {
		return apdu.SWReferencedDataNotFound
	}
	if err := s.need(admin); err != nil {
		return err
	}
	return write(v)
}

// writer is what writes a data object that is kept apart; all of them are the
// administrator's.
func (s *selection) writer(tag apdu.Tag) (func(v []byte) error, bool) {
	within := func(first apdu.Tag) (slot, bool) {
		return slot(tag - first), tag >= first && tag < first+apdu.Tag(slots)
	}
	if ref, ok := within(doAlgorithmSign); ok {
		return func(v []byte) error { return s.app.setAttributes(ref, attributes(v)) }, true
	}
	if ref, ok := within(doFingerprintSign); ok {
		return s.app.fixed(20, func(st *state, v []byte) { st.slots[ref].fingerprint = [20]byte(v) }), true
	}
	if ref, ok := within(doCASign); ok {
		return s.app.fixed(20, func(st *state, v []byte) { st.slots[ref].ca = [20]byte(v) }), true
	}
	if ref, ok := within(doTimeSign); ok {
		return s.app.fixed(4, func(st *state, v []byte) { st.slots[ref].made = [4]byte(v) }), true
	}
	switch tag {
	case doCertificate:
		return s.putCertificate, true
	case doPasswordStatus:
		return s.app.setPasswordStatus, true
	case doResetCode:
		return s.app.setResetCode, true
	case doAES:
		return s.app.setAES, true
	case doKDF:
		return s.app.setKDF, true
	}
	return nil, false
}

// fixed writes a value of n bytes.
func (a *application) fixed(n int, write func(st *state, v []byte)) func(v []byte) error {
	return func(v []byte) error {
		if len(v) != n {
			return apdu.SWWrongData
		}
		return a.change(func(st *state) { write(st, v) })
	}
}

func (s *selection) putCertificate(v []byte) error {
	if len(v) > maxCertificate {
		return apdu.SWWrongData
	}
	return s.app.change(func(st *state) { st.certs[s.certificate] = v })
}

// setAttributes gives a key another algorithm. A key of the old one is gone.
func (a *application) setAttributes(ref slot, next attributes) error {
	switch {
	case !ref.fit(next):
		return apdu.SWWrongData
	case next == a.state.slots[ref].attributes:
		return nil
	}
	old := a.state.slots[ref].key
	err := a.change(func(st *state) {
		st.slots[ref].attributes = next
		st.slots[ref].key = nil
	})
	if err == nil {
		old.wipe()
	}
	return err
}

// setPasswordStatus takes the first byte of C4, or all of it, of which only the
// first can change: whether PW1 is good for one signature or for more.
func (a *application) setPasswordStatus(v []byte) error {
	if len(v) != 1 && len(v) != 7 || v[0] > 1 {
		return apdu.SWWrongData
	}
	return a.change(func(st *state) { st.severally = v[0] == 1 })
}

// setResetCode sets the resetting code; empty means none.
func (a *application) setResetCode(v []byte) error {
	if len(v) == 0 {
		old := a.state.passwords[resetCode].value
		err := a.change(func(st *state) { st.passwords[resetCode].value, st.passwords[resetCode].left = nil, 0 })
		if err == nil {
			clear(old)
		}
		return err
	}
	if !resetCode.possible(len(v)) {
		return apdu.SWWrongData
	}
	return a.replace(resetCode, v, nil)
}

// setAES sets the key of ENCIPHER and of DECIPHER with it.
func (a *application) setAES(v []byte) error {
	if len(v) != 16 && len(v) != 32 {
		return apdu.SWWrongData
	}
	old := a.state.aes
	err := a.change(func(st *state) { st.aes = v })
	if err == nil {
		clear(old)
	}
	return err
}

// keyInformation is the value of DO DE: for each key its number and whence it
// is.
func (st *state) keyInformation() (b []byte) {
	for ref, s := range st.slots {
		from := originNone
		if s.key != nil {
			from = s.key.origin
		}
		b = append(b, byte(ref)+1, byte(from))
	}
	return b
}

func (st *state) counter() []byte { return binary.BigEndian.AppendUint32(nil, st.signatures)[1:] }
