package openpgp

import (
	"slices"

	"github.com/cloud-of-se/tses/apdu"
)

// Tags and values in DO F9 (clause 4.3.2). With a KDF the client hashes what the
// person types, and the hash is the password that the card knows.
const (
	tagKDF        = 0x81
	tagKDFHash    = 0x82
	tagKDFCount   = 0x83
	tagSaltPW1    = 0x84
	tagSaltReset  = 0x85
	tagSaltPW3    = 0x86
	tagInitialPW1 = 0x87
	tagInitialPW3 = 0x88

	kdfNone   = 0x00
	kdfS2K    = 0x03 // OpenPGP's iterated and salted S2K
	kdfSHA256 = 0x08
	kdfSHA512 = 0x0A
)

// kdf is the value of F9: none until it was written.
func (a *application) kdf() []byte {
	if value, ok := a.state.objects[doKDF]; ok {
		return append([]byte(nil), value...)
	}
	return []byte{tagKDF, 1, kdfNone}
}

// setKDF switches hashing on or off. PW1 and PW3 are then what DO F9 says that
// they begin with (the hashes of the well-known ones, as a rule), or the
// well-known ones, and there is no resetting code: the card cannot hash what it
// has, and could not be opened any more with what it has.
func (a *application) setKDF(v []byte) error {
	first, third, err := initialPasswords(v)
	if err != nil {
		return err
	}
	old := a.state.passwords
	err = a.change(func(st *state) {
		st.objects[doKDF] = v
		st.passwords[pw1] = old[pw1].with(first)
		st.passwords[pw3] = old[pw3].with(third)
		st.passwords[resetCode] = password{total: old[resetCode].total}
	})
	if err != nil {
		return err
	}
	for r := range old {
		clear(old[r].value)
		a.epochs[r]++
	}
	return nil
}

// initialPasswords are PW1 and PW3 by a DO F9 that can be.
func initialPasswords(v []byte) (first, third []byte, err error) {
	parts, err := apdu.ParseTLVs(v)
	if err != nil || len(v) > maxSpecial {
		return nil, nil, apdu.SWWrongData
	}
	values := map[apdu.Tag][]byte{}
	for _, p := range parts {
		if _, twice := values[p.Tag]; twice || p.Tag < tagKDF || p.Tag > tagInitialPW3 {
			return nil, nil, apdu.SWWrongData
		}
		values[p.Tag] = p.Value
	}
	switch kind := values[tagKDF]; {
	case slices.Equal(kind, []byte{kdfNone}) && len(values) == 1:
		return []byte(defaultPW1), []byte(defaultPW3), nil
	case !slices.Equal(kind, []byte{kdfS2K}):
		return nil, nil, apdu.SWWrongData
	}
	size := map[string]int{string(rune(kdfSHA256)): 32, string(rune(kdfSHA512)): 64}[string(values[tagKDFHash])]
	first, third = values[tagInitialPW1], values[tagInitialPW3]
	if size == 0 || len(first) != size || len(third) != size || len(values[tagKDFCount]) != 4 || len(values[tagSaltPW1]) != 8 {
		return nil, nil, apdu.SWWrongData
	}
	for _, tag := range []apdu.Tag{tagSaltReset, tagSaltPW3} { // without them PW1's is everybody's
		if salt, ok := values[tag]; ok && len(salt) != 8 {
			return nil, nil, apdu.SWWrongData
		}
	}
	return first, third, nil
}
