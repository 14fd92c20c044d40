package piv

import (
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
)

// algorithm is a cryptographic algorithm identifier (SP 800-78-4, table 6-2,
// and the extensions for RSA 3072 and 4096, Ed25519 and X25519).
type algorithm byte

const (
	alg3DES    algorithm = 0x03
	algRSA3072 algorithm = 0x05
	algRSA2048 algorithm = 0x07
	algAES128  algorithm = 0x08
	algAES192  algorithm = 0x0A
	algAES256  algorithm = 0x0C
	algP256    algorithm = 0x11
	algP384    algorithm = 0x14
	algRSA4096 algorithm = 0x16
	algEd25519 algorithm = 0xE0
	algX25519  algorithm = 0xE1

	algNone algorithm = 0xFF // what GET METADATA says for PIN and PUK
)

// rsaBits is the length of the modulus, 0 for what is not RSA.
func (a algorithm) rsaBits() int {
	switch a {
	case algRSA2048:
		return 2048
	case algRSA3072:
		return 3072
	case algRSA4096:
		return 4096
	}
	return 0
}

// curve is the curve of ECDSA and ECDH, nil for other algorithms.
func (a algorithm) curve() elliptic.Curve {
	switch a {
	case algP256:
		return elliptic.P256()
	case algP384:
		return elliptic.P384()
	}
	return nil
}

// algorithmOf is the identifier of a private key as the standard library
// holds it; false for a kind or size that no slot may have.
func algorithmOf(private any) (algorithm, bool) {
	switch k := private.(type) {
	case *rsa.PrivateKey:
		for _, a := range []algorithm{algRSA2048, algRSA3072, algRSA4096} {
			if k.N.BitLen() == a.rsaBits() && len(k.Primes) == 2 {
				return a, true
			}
		}
	case *ecdsa.PrivateKey:
		for _, a := range []algorithm{algP256, algP384} {
			if k.Curve == a.curve() {
				return a, true
			}
		}
	case ed25519.PrivateKey:
		return algEd25519, true
	case *ecdh.PrivateKey:
		return algX25519, k.Curve() == ecdh.X25519()
	}
	return 0, false
}
