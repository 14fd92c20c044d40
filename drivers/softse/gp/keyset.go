package gp

import (
	"bytes"
	"crypto/aes"
	"slices"
)

// Key identifiers of an SCP03 key set, and versions of sets (Amendment D, 5.1
// and 7.1.1.4). The version of the factory's set cannot be put: the first set
// that is takes its place, which is how a card with known keys gets its
// owner's, and how tools know that it still has the factory's.
const (
	keyENC         = 1
	keyMAC         = 2
	keyDEK         = 3
	factoryVersion = 0xFF
	maxVersion     = 0x7F
	keyTypeAES     = 0x88
)

// MaxKeySets bounds the key sets of one security domain.
const MaxKeySets = 16

// keySet is three AES keys of one size. It is never changed in place.
type keySet struct {
	version byte
	keys    [3][]byte // ENC, MAC, DEK

	// The sequence counter, 3 bytes: where it is, and up to where it is
	// reserved. The latter is what lasts, and where a loaded set goes on.
	counter, reserved uint32
}

// reserve is how many values of the sequence counter are reserved at a time:
// anybody can ask for INITIALIZE UPDATE, and not each is to be written down.
const (
	reserve    = 32
	maxCounter = 1<<24 - 1
)

// testKeys are the well-known ones.
func testKeys() keySet {
	k := []byte("\x40\x41\x42\x43\x44\x45\x46\x47\x48\x49\x4A\x4B\x4C\x4D\x4E\x4F")
	return keySet{version: factoryVersion, keys: [3][]byte{k, bytes.Clone(k), bytes.Clone(k)}}
}

func (k keySet) sequence() [3]byte {
	return [3]byte{byte(k.counter >> 16), byte(k.counter >> 8), byte(k.counter)}
}

func (k keySet) valid() bool {
	n := len(k.keys[0])
	return (k.version >= 1 && k.version <= maxVersion || k.version == factoryVersion) && k.reserved <= maxCounter &&
		aesSize(n) && len(k.keys[1]) == n && len(k.keys[2]) == n
}

func (k keySet) wipe() {
	for _, b := range k.keys {
		clear(b)
	}
}

func aesSize(n int) bool { return n == 16 || n == 24 || n == 32 }

// checkValue is the key check value of an AES key (Amendment D, 4.1.4): the
// first 3 bytes of a block of 01 encrypted.
func checkValue(key []byte) ([]byte, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	b := bytes.Repeat([]byte{0x01}, aes.BlockSize)
	block.Encrypt(b, b)
	return b[:3], nil
}

// domainState is what lasts of a security domain. Slices in it are replaced,
// never written to, so that a copy of the struct is a copy of the state.
type domainState struct {
	fails         uint32 // failed authentications since the last good one
	iin, cin, url []byte // values of 42, 45 and 5F50
	sets          []keySet
}

// maxObject bounds a data object that STORE DATA sets.
const maxObject = 128

func freshIssuer(serial [4]byte) domainState {
	return domainState{
		iin:  []byte("TSES"),
		cin:  append([]byte("SOFTSE"), serial[:]...),
		sets: []keySet{testKeys()},
	}
}

// set is the place of a key set of that version, or of the first one where
// version is 0; -1 if there is none.
func (d *domainState) set(version byte) int {
	if version == 0 && len(d.sets) > 0 {
		return 0
	}
	return slices.IndexFunc(d.sets, func(k keySet) bool { return k.version == version })
}

// factory tells whether key set i is the factory's.
func (d *domainState) factory(i int) bool {
	return i < len(d.sets) && d.sets[i].version == factoryVersion
}

// with is a copy of the key sets in which number i is k; i = len appends.
func (d *domainState) with(i int, k keySet) []keySet {
	sets := slices.Clone(d.sets)
	if i == len(sets) {
		return append(sets, k)
	}
	sets[i] = k
	return sets
}

func (d *domainState) wipe() {
	for _, k := range d.sets {
		k.wipe()
	}
}

func (d *domainState) marshal() []byte {
	w := &writer{}
	w.raw(byte(d.fails>>24), byte(d.fails>>16), byte(d.fails>>8), byte(d.fails))
	w.short(d.iin)
	w.short(d.cin)
	w.short(d.url)
	w.raw(byte(len(d.sets)))
	for _, k := range d.sets {
		w.raw(k.version, byte(k.reserved>>16), byte(k.reserved>>8), byte(k.reserved))
		for _, key := range k.keys {
			w.short(key)
		}
	}
	return w.b
}

func readDomain(state []byte) (domainState, error) {
	r := &reader{b: state}
	var d domainState
	if b := r.raw(4); b != nil {
		d.fails = uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
	}
	d.iin, d.cin, d.url = r.short(), r.short(), r.short()
	n := int(r.byte())
	if n > MaxKeySets || max(len(d.iin), len(d.cin), len(d.url)) > maxObject {
		r.fail("%d key sets, or a data object too long", n)
	}
	for i := 0; i < n && r.err == nil; i++ {
		k := keySet{version: r.byte()}
		if b := r.raw(3); b != nil {
			k.reserved = uint32(b[0])<<16 | uint32(b[1])<<8 | uint32(b[2])
			k.counter = k.reserved
		}
		for j := range k.keys {
			k.keys[j] = r.short()
		}
		if !k.valid() || d.set(k.version) >= 0 || k.version == factoryVersion && n > 1 {
			r.fail("key set %02X", k.version)
		}
		d.sets = append(d.sets, k)
	}
	return d, r.end()
}
