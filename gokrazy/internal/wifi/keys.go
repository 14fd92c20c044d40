package wifi

import (
	"bytes"
	"crypto/aes"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/binary"
	"errors"
)

type (
	address [6]byte
	nonce   [32]byte
	micCode [16]byte
)

// ptk is a pairwise transient key for CCMP in its parts (IEEE Std 802.11-2020,
// 12.7.1.3).
type ptk struct {
	anonce nonce
	kck    [16]byte // confirms the handshake
	kek    [16]byte // encrypts key data
	tk     [16]byte // encrypts data
}

// derive makes the pairwise key of both sides' addresses and nonces.
func derive(pmk Key, ap, own address, anonce, snonce nonce) *ptk {
	var data []byte
	for _, pair := range [][2][]byte{{ap[:], own[:]}, {anonce[:], snonce[:]}} {
		low, high := pair[0], pair[1]
		if bytes.Compare(low, high) > 0 {
			low, high = high, low
		}
		data = append(append(data, low...), high...)
	}
	k := prf(pmk[:], "Pairwise key expansion", data, 48)
	return &ptk{anonce, [16]byte(k[:16]), [16]byte(k[16:32]), [16]byte(k[32:])}
}

// prf is the pseudorandom function of IEEE Std 802.11-2020, 12.7.1.2, here for
// n bytes.
func prf(key []byte, label string, data []byte, n int) []byte {
	var out []byte
	for i := byte(0); len(out) < n; i++ {
		h := hmac.New(sha1.New, key)
		h.Write([]byte(label))
		h.Write([]byte{0})
		h.Write(data)
		h.Write([]byte{i})
		out = h.Sum(out)
	}
	return out[:n]
}

// mic is HMAC-SHA1-128 (IEEE Std 802.11-2020, 12.7.3, key descriptor version 2).
func (k *ptk) mic(message []byte) micCode {
	h := hmac.New(sha1.New, k.kck[:])
	h.Write(message)
	return micCode(h.Sum(nil)[:len(micCode{})])
}

var errUnwrap = errors.New("key data does not decrypt")

// unwrap is AES key unwrap (RFC 3394, 2.2.2).
func unwrap(kek, wrapped []byte) ([]byte, error) {
	if len(wrapped) < 24 || len(wrapped)%8 != 0 {
		return nil, errUnwrap
	}
	block, err := aes.NewCipher(kek)
	if err != nil {
		return nil, err
	}
	out := bytes.Clone(wrapped[8:])
	n := len(out) / 8
	var b [16]byte // A, and the half that is at work
	copy(b[:8], wrapped)
	for j := 5; j >= 0; j-- {
		for i := n; i >= 1; i-- {
			r := out[8*(i-1) : 8*i]
			a := binary.BigEndian.Uint64(b[:8])
			binary.BigEndian.PutUint64(b[:8], a^uint64(n*j+i))
			copy(b[8:], r)
			block.Decrypt(b[:], b[:])
			copy(r, b[8:])
		}
	}
	if subtle.ConstantTimeCompare(b[:8], bytes.Repeat([]byte{0xA6}, 8)) != 1 {
		return nil, errUnwrap
	}
	return out, nil
}
