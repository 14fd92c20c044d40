package piv

import (
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/cloud-of-se/tses/apdu"
)

// The persistent state, version 1, all numbers big-endian:
//
//	"PIV" 01
//	PIN and PUK, each: value (8), total tries (1), tries left (1)
//	management key: algorithm (1), touch policy (1), value (as the algorithm has)
//	number of keys (1), then in order of slots, each: slot, origin, PIN policy,
//	  touch policy (1 each), length (2), private key as PKCS #8
//	number of objects (1), then in order of tags, each: tag (3), length (2), value
//
// The order makes a state have one encoding only. PKCS #8 carries the kind of
// the key, so a key's algorithm is not written beside it.
const stateHeader = "PIV\x01"

// maxKeyLength bounds an encoded private key; RSA 4096 has 2,374 bytes or so.
const maxKeyLength = 4096

// ErrState is matched by the errors of [applet.Module].Load for bytes that
// are no state of this package. Nothing was changed; where the bytes come from
// has to be found out before the card is used.
var ErrState = errors.New("no valid state of a PIV application")

func (st *state) encode() ([]byte, error) {
	// The buffer is made long enough at once, so that growing leaves no
	// copies of secrets behind.
	b := make([]byte, 0, 256+len(st.keys)*maxKeyLength+len(st.objects)*5+st.stored())
	b = append(b, stateHeader...)
	for _, r := range []*reference{&st.pin, &st.puk} {
		b = append(b, r.value[:]...)
		b = append(b, r.total, r.left)
	}
	b = append(b, byte(st.management.algorithm), byte(st.management.touch))
	b = append(b, st.management.value...)
	b = append(b, byte(len(st.keys)))
	for _, s := range slices.Sorted(maps.Keys(st.keys)) {
		var err error
		if b, err = st.keys[s].encode(b, s); err != nil {
			return nil, err
		}
	}
	b = append(b, byte(len(st.objects)))
	for _, tag := range slices.Sorted(maps.Keys(st.objects)) {
		value := st.objects[tag]
		b = append(b, byte(tag>>16), byte(tag>>8), byte(tag))
		b = binary.BigEndian.AppendUint16(b, uint16(len(value)))
		b = append(b, value...)
	}
	return b, nil
}

func (st *state) stored() (n int) {
	for _, value := range st.objects {
		n += len(value)
	}
	return n
}

func (k *key) encode(b []byte, s slot) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(k.private)
	if err != nil {
		return nil, fmt.Errorf("encoding the private key of slot %02X: %w", byte(s), err)
	}
	defer clear(der)
	if len(der) > maxKeyLength {
		return nil, fmt.Errorf("encoding the private key of slot %02X: %d bytes, the most are %d", byte(s), len(der), maxKeyLength)
	}
	b = append(b, byte(s), byte(k.origin), byte(k.pin), byte(k.touch))
	b = binary.BigEndian.AppendUint16(b, uint16(len(der)))
	return append(b, der...), nil
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

func (d *decoder) bytes(n int, what string) []byte {
	if len(d.b) < n {
		d.fail("%s needs %d bytes, %d are left", what, n, len(d.b))
		return make([]byte, n)
	}
	v := d.b[:n]
	d.b = d.b[n:]
	return v
}

func (d *decoder) byte(what string) byte { return d.bytes(1, what)[0] }

func (d *decoder) uint16(what string) int { return int(binary.BigEndian.Uint16(d.bytes(2, what))) }

func decodeState(b []byte) (state, error) {
	d := &decoder{b: b}
	if h := string(d.bytes(len(stateHeader), "header")); d.err == nil && h != stateHeader {
		d.fail("header % X is not %q of version 1", h, stateHeader[:3])
	}
	st := state{pin: d.reference("PIN"), puk: d.reference("PUK"), management: d.management()}
	st.keys = d.keys()
	st.objects = d.objects()
	if d.err == nil && len(d.b) != 0 {
		d.fail("%d bytes follow it", len(d.b))
	}
	return st, d.err
}

func (d *decoder) reference(what string) (r reference) {
	copy(r.value[:], d.bytes(referenceLength, what))
	r.total, r.left = d.byte(what), d.byte(what)
	if d.err == nil && (!wellFormed(r.value[:]) || r.total == 0 || r.left > r.total) {
		d.fail("%s has no possible value or tries", what)
	}
	return r
}

func (d *decoder) management() (m managementKey) {
	m.algorithm, m.touch = algorithm(d.byte("management key")), touchPolicy(d.byte("management key"))
	n := m.algorithm.keyLength()
	if d.err == nil && (n == 0 || !m.touch.valid()) {
		d.fail("management key has algorithm %02X and touch policy %02X", byte(m.algorithm), byte(m.touch))
	}
	m.value = slices.Clone(d.bytes(n, "management key"))
	return m
}

func (d *decoder) keys() map[slot]*key {
	keys := map[slot]*key{}
	last := slot(0)
	for range d.byte("number of keys") {
		s := slot(d.byte("slot"))
		k := &key{origin: origin(d.byte("origin")), pin: pinPolicy(d.byte("PIN policy")), touch: touchPolicy(d.byte("touch policy"))}
		n := d.uint16("length of a key")
		if n > maxKeyLength {
			d.fail("key of slot %02X has %d bytes", byte(s), n)
			n = 0
		}
		der := d.bytes(n, "key")
		if d.err != nil {
			return nil
		}
		if !s.valid() || s <= last || k.origin < originGenerated || k.origin > originImported || !k.pin.valid() || !k.touch.valid() {
			d.fail("slot %02X is none, out of order, or has an impossible origin or policy", byte(s))
			return nil
		}
		if err := k.decode(der); err != nil {
			d.fail("key of slot %02X: %v", byte(s), err)
			return nil
		}
		if s.accepts(k.algorithm) != nil {
			d.fail("key of slot %02X has algorithm %02X", byte(s), byte(k.algorithm))
			return nil
		}
		keys[s], last = k, s
	}
	return keys
}

func (k *key) decode(der []byte) error {
	private, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return err
	}
	return k.setPrivate(private)
}

func (d *decoder) objects() map[apdu.Tag][]byte {
	objects, total, last := map[apdu.Tag][]byte{}, 0, apdu.Tag(0)
	count := int(d.byte("number of objects"))
	if count > maxObjects {
		d.fail("%d objects", count)
		return nil
	}
	for range count {
		t := d.bytes(3, "tag of an object")
		tag := apdu.Tag(t[0])<<16 | apdu.Tag(t[1])<<8 | apdu.Tag(t[2])
		n := d.uint16("length of an object")
		if d.err == nil && (!storable(tag) || tag <= last || n == 0 || n > maxObject || total+n > maxStored) {
			d.fail("object %06X of %d bytes is none, out of order, or too long", uint32(tag), n)
		}
		if d.err != nil {
			return nil
		}
		objects[tag] = slices.Clone(d.bytes(n, "object"))
		total, last = total+n, tag
	}
	return objects
}
