package gp

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"

	"github.com/cloud-of-se/tses/apdu"
)

// putKey is PUT KEY (GlobalPlatform Card Specification 2.3.1, 11.8, with the
// formats of Amendment D, 7.2): a key set is added (P1 00) or replaced (P1 its
// version) as a whole, or one key of a set is replaced by one of the same
// size. A set that is added to the factory's replaces it. The answer repeats the version and the key check values.
func (s *session) putKey(c apdu.Command) ([]byte, error) {
	if c.P1 > maxVersion {
		return nil, apdu.SWIncorrectP1P2 // more commands follow: not needed
	}
	if len(c.Data) < 1 || c.Data[0] < 1 || c.Data[0] > maxVersion {
		return nil, apdu.SWWrongData
	}
	version := c.Data[0]
	keys, values, err := s.readKeys(c.Data[1:])
	if err != nil {
		return nil, err
	}
	next, i, err := s.d.keysPut(c.P1, c.P2, version, keys)
	if err != nil {
		wipeAll(keys)
		return nil, err
	}
	if err := s.replaceSet(i, next); err != nil {
		wipeAll(keys)
		return nil, err
	}
	return append([]byte{version}, values...), nil
}

// replaceSet writes key set i, and wipes keys that are no longer in use. A
// supplementary domain is personalized with its first keys.
func (s *session) replaceSet(i int, next keySet) error {
	var old keySet
	if i < len(s.d.sets) {
		old = s.d.sets[i]
	}
	err := s.r.change(func() error {
		s.d.sets = s.d.with(i, next)
		if in := s.d.instance(); in.State == AppReady {
			in.State = Personalized
		}
		return nil
	})
	if err != nil {
		return err
	}
	for j, key := range old.keys {
		if len(key) > 0 && &key[0] != &next.keys[j][0] {
			clear(key)
		}
	}
	return nil
}

// keysPut is the key set that results, and its place.
func (d *domainState) keysPut(p1, p2, version byte, keys [][]byte) (next keySet, i int, err error) {
	multiple, id := p2&0x80 != 0, int(p2&0x7F)
	i = len(d.sets)
	if d.factory(0) {
		i = 0 // it stands alone: the first set that comes replaces it
	}
	if p1 != 0 {
		if i = d.set(p1); i < 0 {
			return next, 0, apdu.SWReferencedDataNotFound
		}
	}
	if p1 != version && d.set(version) >= 0 {
		return next, 0, apdu.SWWrongData // the version is another set's
	}
	switch {
	case i >= MaxKeySets:
		return next, 0, apdu.SWNotEnoughMemory
	case multiple != (len(keys) > 1), id < keyENC || id > keyDEK:
		return next, 0, apdu.SWIncorrectP1P2
	case id == keyENC && len(keys) == len(next.keys):
		next = keySet{version: version, keys: [3][]byte(keys)}
	case len(keys) == 1 && p1 != 0 && p1 == version:
		next = d.sets[i]
		next.counter, next.reserved = 0, 0
		next.keys[id-1] = keys[0]
	default:
		return next, 0, apdu.SWWrongData
	}
	if !next.valid() { // keys of different sizes
		return next, 0, apdu.SWWrongData
	}
	return next, i, nil
}

// readKeys decrypts the key data fields and verifies their check values,
// which it returns behind each other.
func (s *session) readKeys(b []byte) (keys [][]byte, values []byte, err error) {
	for len(b) > 0 {
		var field, given []byte
		if field, given, b, err = keyField(b); err != nil || len(keys) == 3 {
			wipeAll(keys)
			return nil, nil, apdu.SWWrongData
		}
		key, err := s.decryptKey(field)
		if err != nil {
			wipeAll(keys)
			return nil, nil, err
		}
		keys = append(keys, key)
		value, err := checkValue(key)
		if err != nil || subtle.ConstantTimeCompare(value, given) != 1 && len(given) > 0 {
			wipeAll(keys)
			return nil, nil, apdu.SWWrongData
		}
		values = append(values, value...)
	}
	return keys, values, nil
}

// keyField splits off one key data field: type, length, value, length of the
// key check value (0 or 3), key check value.
func keyField(b []byte) (field, value, rest []byte, err error) {
	if len(b) < 2 || b[0] != keyTypeAES || int(b[1]) > len(b)-2-1 {
		return nil, nil, nil, apdu.SWWrongData
	}
	field, b = b[2:2+int(b[1])], b[2+int(b[1]):]
	n := int(b[0])
	if n != 0 && n != 3 || n > len(b)-1 {
		return nil, nil, nil, apdu.SWWrongData
	}
	return field, b[1 : 1+n], b[1+n:], nil
}

// decryptKey decrypts a key with DEK, CBC with an initial chaining value of
// zero. The field is the length of the key and its padded encryption, or,
// where nothing had to be padded, the encryption alone (tables 11-70, 11-71).
func (s *session) decryptKey(field []byte) ([]byte, error) {
	n := len(field)
	if n%aes.BlockSize == 1 {
		n, field = int(field[0]), field[1:]
	}
	if !aesSize(n) || len(field)%aes.BlockSize != 0 || len(field) != (n+15)/16*16 {
		return nil, apdu.SWWrongData
	}
	block, err := aes.NewCipher(s.dek)
	if err != nil {
		return nil, apdu.SWConditionsNotSatisfied
	}
	plain := make([]byte, len(field))
	cipher.NewCBCDecrypter(block, make([]byte, aes.BlockSize)).CryptBlocks(plain, field)
	defer clear(plain)
	return bytes.Clone(plain[:n]), nil
}

func wipeAll(keys [][]byte) {
	for _, k := range keys {
		clear(k)
	}
}
