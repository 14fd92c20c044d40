package openpgp

import (
	"bytes"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/cloud-of-se/tses/apdu"
)

// The persistent state, version 1, all numbers big-endian, lengths in two bytes:
//
//	"PGP" 01
//	terminated, PW1 good for more than one signature (1 each, 00 or 01)
//	signature counter (4)
//	PW1, resetting code, PW3, each: length, value, total tries (1), tries left (1)
//	the keys, each: length, algorithm attributes, fingerprint (20), fingerprint
//	  of a CA (20), time (4), origin (1), length, private key as PKCS #8
//	certificates of the three occurrences, each: length, value
//	length, AES key
//	number of objects (1), then in order of tags, each: tag (2), length, value
//
// The order makes a state have one encoding only.
const stateHeader = "PGP\x01"

// maxKeyLength bounds an encoded private key; RSA 4096 has 2,374 bytes or so.
const maxKeyLength = 4096

// ErrState is matched by the errors of [applet.Module].Load for bytes that are
// no state of this package. Nothing was changed; where the bytes come from has
// to be found out before the card is used.
var ErrState = errors.New("no valid state of an OpenPGP application")

// encode makes the buffer long enough at once, so that growing leaves no copies
// of secrets behind.
func (st *state) encode() ([]byte, error) {
	b := make([]byte, 0, st.bound())
	b = append(b, stateHeader...)
	b = append(b, flag(st.terminated), flag(st.severally))
	b = binary.BigEndian.AppendUint32(b, st.signatures)
	for _, p := range st.passwords {
		b = append(appendLong(b, p.value), p.total, p.left)
	}
	for i := range st.slots {
		var err error
		if b, err = st.slots[i].encode(b); err != nil {
			return nil, fmt.Errorf("encoding key %d: %w", i+1, err)
		}
	}
	for _, c := range st.certs {
		b = appendLong(b, c)
	}
	b = appendLong(b, st.aes)
	b = append(b, byte(len(st.objects)))
	for _, tag := range slices.Sorted(maps.Keys(st.objects)) {
		b = binary.BigEndian.AppendUint16(b, uint16(tag))
		b = appendLong(b, st.objects[tag])
	}
	return b, nil
}

// bound is at least the length of the encoding.
func (st *state) bound() int {
	n := 1024 + int(slots)*(maxKeyLength+100)
	for _, c := range st.certs {
		n += len(c)
	}
	for _, v := range st.objects {
		n += 4 + len(v)
	}
	return n
}

func (s *slotState) encode(b []byte) ([]byte, error) {
	b = appendLong(b, []byte(s.attributes))
	b = append(b, s.fingerprint[:]...)
	b = append(b, s.ca[:]...)
	b = append(b, s.made[:]...)
	if s.key == nil {
		return appendLong(append(b, byte(originNone)), nil), nil
	}
	der, err := x509.MarshalPKCS8PrivateKey(s.key.private)
	if err != nil {
		return nil, err
	}
	defer clear(der)
	if len(der) > maxKeyLength {
		return nil, fmt.Errorf("%d bytes, the most are %d", len(der), maxKeyLength)
	}
	return appendLong(append(b, byte(s.key.origin)), der), nil
}

func appendLong(b, value []byte) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(value))), value...)
}

func flag(set bool) byte {
	if set {
		return 1
	}
	return 0
}

// decoder takes an encoding apart. After a first error everything is empty.
type decoder struct {
	b   []byte
	err error
}

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: %s", ErrState, fmt.Sprintf(format, args...))
	}
	d.b = nil
}

func (d *decoder) raw(n int, what string) []byte {
	if len(d.b) < n {
		d.fail("%s needs %d bytes, %d are left", what, n, len(d.b))
		return make([]byte, n)
	}
	v := d.b[:n]
	d.b = d.b[n:]
	return v
}

func (d *decoder) byte(what string) byte { return d.raw(1, what)[0] }

func (d *decoder) flag(what string) bool {
	v := d.byte(what)
	if v > 1 {
		d.fail("%s is %02X", what, v)
	}
	return v == 1
}

// long is a value behind its length, of at most the bytes given; nil for none.
func (d *decoder) long(most int, what string) []byte {
	n := int(binary.BigEndian.Uint16(d.raw(2, what)))
	if n > most {
		d.fail("%s has %d bytes, the most are %d", what, n, most)
		return nil
	}
	return slices.Clip(append([]byte(nil), d.raw(n, what)...))
}

func decodeState(b []byte) (st state, err error) {
	d := &decoder{b: b}
	if h := string(d.raw(len(stateHeader), "header")); d.err == nil && h != stateHeader {
		d.fail("header % X is not %q of version 1", h, stateHeader[:3])
	}
	st.terminated, st.severally = d.flag("life cycle"), d.flag("validity of PW1")
	if st.signatures = binary.BigEndian.Uint32(d.raw(4, "signature counter")); st.signatures >= 1<<24 {
		d.fail("signature counter %d", st.signatures)
	}
	for r := range st.passwords {
		st.passwords[r] = d.password(reference(r))
	}
	for s := range st.slots {
		st.slots[s] = d.slot(slot(s))
	}
	for i := range st.certs {
		st.certs[i] = d.long(maxCertificate, "certificate")
	}
	if st.aes = d.long(32, "AES key"); len(st.aes) != 0 && len(st.aes) != 16 && len(st.aes) != 32 {
		d.fail("AES key of %d bytes", len(st.aes))
	}
	st.objects = d.objects()
	if d.err == nil && len(d.b) != 0 {
		d.fail("%d bytes follow it", len(d.b))
	}
	return st, d.err
}

func (d *decoder) password(r reference) password {
	p := password{value: d.long(maxPassword, "password"), total: d.byte("tries"), left: d.byte("tries")}
	switch n := len(p.value); {
	case d.err != nil:
	case n == 0 && (r != resetCode || p.left != 0), n != 0 && !r.possible(n):
		d.fail("password %d of %d bytes", r, n)
	case p.total == 0 || p.total > maxTries || p.left > p.total:
		d.fail("password %d has %d of %d tries", r, p.left, p.total)
	}
	return p
}

func (d *decoder) slot(ref slot) (s slotState) {
	s.attributes = attributes(d.long(32, "algorithm attributes"))
	copy(s.fingerprint[:], d.raw(len(s.fingerprint), "fingerprint"))
	copy(s.ca[:], d.raw(len(s.ca), "fingerprint of a CA"))
	copy(s.made[:], d.raw(len(s.made), "time"))
	from, der := origin(d.byte("origin")), d.long(maxKeyLength, "key")
	defer clear(der)
	switch {
	case d.err != nil:
		return s
	case !ref.fit(s.attributes):
		d.fail("key %d has algorithm attributes %X", ref+1, s.attributes)
	case from == originNone && len(der) == 0:
	case from != originGenerated && from != originImported:
		d.fail("key %d has origin %02X", ref+1, byte(from))
	default:
		private, err := x509.ParsePKCS8PrivateKey(der)
		if err != nil || !s.attributes.of(private) {
			d.fail("key %d is not of its algorithm: %v", ref+1, err)
			return s
		}
		if s.key, err = newKey(from, private); err != nil {
			d.fail("key %d: %v", ref+1, err)
		}
	}
	return s
}

func (d *decoder) objects() map[apdu.Tag][]byte {
	all, last := map[apdu.Tag][]byte{}, apdu.Tag(0)
	for range d.byte("number of objects") {
		tag := apdu.Tag(binary.BigEndian.Uint16(d.raw(2, "tag of an object")))
		value := d.long(maxSpecial, "object")
		o, ok := objects[tag]
		if tag == doKDF {
			o, ok = kept{max: maxSpecial, valid: validKDF}, true
		}
		if d.err == nil && (!ok || tag <= last || len(value) > o.max || !o.valid(value)) {
			d.fail("object %04X is none, out of order, or not possible", uint32(tag))
		}
		if d.err != nil {
			return nil
		}
		all[tag], last = bytes.Clone(value), tag
	}
	return all
}

func validKDF(v []byte) bool {
	_, _, err := initialPasswords(v)
	return err == nil
}
