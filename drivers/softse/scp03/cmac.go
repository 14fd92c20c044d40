package scp03

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
)

// cmac is AES-CMAC (NIST SP 800-38B, RFC 4493) with its two subkeys.
type cmac struct {
	block  cipher.Block
	k1, k2 [aes.BlockSize]byte
}

// newCMAC takes a key of 16, 24 or 32 bytes.
func newCMAC(key []byte) (*cmac, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	m := &cmac{block: block}
	block.Encrypt(m.k1[:], m.k1[:])
	double(&m.k1)
	m.k2 = m.k1
	double(&m.k2)
	return m, nil
}

// double multiplies by x in GF(2^128), in constant time.
func double(k *[aes.BlockSize]byte) {
	carry := k[0] >> 7
	for i := 0; i < len(k)-1; i++ {
		k[i] = k[i]<<1 | k[i+1]>>7
	}
	k[len(k)-1] = k[len(k)-1]<<1 ^ 0x87&-carry
}

// sum is the MAC of the parts, joined.
func (m *cmac) sum(parts ...[]byte) (x [aes.BlockSize]byte) {
	n := 0 // bytes of the current block that are in x
	for _, p := range parts {
		for len(p) > 0 {
			if n == aes.BlockSize { // not the last block: more follows
				m.block.Encrypt(x[:], x[:])
				n = 0
			}
			k := subtle.XORBytes(x[n:], x[n:], p)
			n, p = n+k, p[k:]
		}
	}
	last := &m.k1
	if n < aes.BlockSize {
		x[n] ^= 0x80
		last = &m.k2
	}
	subtle.XORBytes(x[:], x[:], last[:])
	m.block.Encrypt(x[:], x[:])
	return x
}

func (m *cmac) wipe() {
	clear(m.k1[:])
	clear(m.k2[:])
	m.block = nil
}
