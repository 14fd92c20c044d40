package openpgp

import (
	"encoding/binary"

	"github.com/cloud-of-se/tses/apdu"
)

// object is the value of a data object that everybody may read, or of one that
// is kept.
func (a *application) object(tag apdu.Tag) ([]byte, bool) {
	if _, ok := objects[tag]; ok {
		return a.kept(tag), true
	}
	st := &a.state
	switch tag {
	case doAlgorithmSign, doAlgorithmSign + 1, doAlgorithmSign + 2:
		return []byte(st.slots[tag-doAlgorithmSign].attributes), true
	case doAID:
		return fullAID(a.card), true
	case doHistorical:
		return st.historical(), true
	case doHolder:
		return a.template(doName, doLanguage, doSex), true
	case doApplication:
		return a.template(doAID, doHistorical, doExtendedInfo, doDiscretions), true
	case doDiscretions:
		return a.template(doCapabilities, doAlgorithmSign, doAlgorithmSign+1, doAlgorithmSign+2, doPasswordStatus,
			doFingerprints, doCAFingerprints, doTimes, doKeyInformation, doInteraction, doInteraction+1, doInteraction+2), true
	case doSecurity:
		return a.template(doCounter), true
	case doKDF:
		return a.kdf(), true
	}
	value, ok := st.status(tag)
	return value, ok
}

// status are the values that tell the state of the card.
func (st *state) status(tag apdu.Tag) (b []byte, ok bool) {
	switch tag {
	case doCapabilities:
		return capabilities(), true
	case doExtendedInfo:
		return extendedInfo(), true
	case doAlgorithms:
		return algorithmInformation(), true
	case doCounter:
		return st.counter(), true
	case doKeyInformation:
		return st.keyInformation(), true
	case doPasswordStatus:
		return st.passwordStatus(), true
	case doFingerprints:
		for _, s := range st.slots {
			b = append(b, s.fingerprint[:]...)
		}
	case doCAFingerprints:
		for _, s := range st.slots {
			b = append(b, s.ca[:]...)
		}
	case doTimes:
		for _, s := range st.slots {
			b = append(b, s.made[:]...)
		}
	}
	return b, b != nil
}

// template is what a constructed data object holds: others, with their tags.
func (a *application) template(tags ...apdu.Tag) (b []byte) {
	for _, tag := range tags {
		value, _ := a.object(tag) // each is there
		b = apdu.AppendTLV(b, tag, value)
	}
	return b
}

// kept is the value of an object that is kept, or what it is before it was
// written.
func (a *application) kept(tag apdu.Tag) []byte {
	if value, ok := a.state.objects[tag]; ok {
		return append([]byte(nil), value...)
	}
	if tag >= doInteraction && tag <= doInteraction+apdu.Tag(slots) {
		return []byte{0, 0x20} // off; 20 would be a button
	}
	return nil
}

// historical are the historical bytes (clause 6): selection by full and partial
// DF name, command chaining and extended lengths, and the life cycle status.
func (st *state) historical() []byte {
	lifeCycle := byte(0x05)
	if st.terminated {
		lifeCycle = 0x03
	}
	return []byte{0x00, 0x31, 0xC5, 0x73, 0xC0, 0x01, 0xC0, lifeCycle, 0x90, 0x00}
}

// Flags of the extended capabilities (clause 4.4.3.7).
const (
	canChallenge  = 0x40
	canImport     = 0x20
	canPWStatus   = 0x10
	canPrivate    = 0x08
	canAttributes = 0x04
	canAES        = 0x02
	canKDF        = 0x01
)

// capabilities is the value of C0: no secure messaging, no PIN block format 2,
// MSE for the keys of DECIPHER and INTERNAL AUTHENTICATE.
func capabilities() []byte {
	b := []byte{canChallenge | canImport | canPWStatus | canPrivate | canAttributes | canAES | canKDF, 0}
	b = binary.BigEndian.AppendUint16(b, maxChallenge)
	b = binary.BigEndian.AppendUint16(b, maxCertificate)
	b = binary.BigEndian.AppendUint16(b, maxSpecial)
	return append(b, 0, 1)
}

// maxMessage is what DO 7F66 tells of the longest command and the longest
// response. A key of RSA 4096 and every data object fit.
const maxMessage = 0x2000

func extendedInfo() []byte {
	n := binary.BigEndian.AppendUint16(nil, maxMessage)
	return apdu.AppendTLV(apdu.AppendTLV(nil, 0x02, n), 0x02, n)
}

// passwordStatus is the value of C4.
func (st *state) passwordStatus() []byte {
	b := []byte{0, maxPassword, maxPassword, maxPassword}
	if st.severally {
		b[0] = 1
	}
	for _, p := range st.passwords {
		b = append(b, p.left)
	}
	return b
}
