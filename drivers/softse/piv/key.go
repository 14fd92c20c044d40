package piv

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"fmt"
	"io"
	"math/big"

	"github.com/cloud-of-se/tses/apdu"
)

// origin tells where a private key came from.
type origin byte

const (
	originGenerated origin = 1
	originImported  origin = 2
)

// key is a private key in its slot. It is not changed once it is there.
type key struct {
	algorithm algorithm
	origin    origin
	pin       pinPolicy
	touch     touchPolicy

	// private is *rsa.PrivateKey, *ecdsa.PrivateKey, ed25519.PrivateKey, or
	// *ecdh.PrivateKey for X25519, as algorithm says.
	private interface {
		Public() crypto.PublicKey
	}
}

// newPrivate makes a private key; RSA takes from some tenths of a second to
// several seconds. An algorithm that is not for slots is 6A80.
func newPrivate(a algorithm, random io.Reader) (crypto.PrivateKey, error) {
	switch {
	case a.rsaBits() != 0:
		return rsa.GenerateKey(random, a.rsaBits())
	case a.curve() != nil:
		return ecdsa.GenerateKey(a.curve(), random)
	case a == algEd25519:
		_, private, err := ed25519.GenerateKey(random)
		return private, err
	case a == algX25519:
		return ecdh.X25519().GenerateKey(random)
	}
	return nil, apdu.SWWrongData
}

// setPrivate takes a private key of the standard library whose kind fits a
// slot, and refuses others.
func (k *key) setPrivate(private crypto.PrivateKey) error {
	a, ok := algorithmOf(private)
	if !ok {
		return fmt.Errorf("private key %T is of no kind that a slot holds", private)
	}
	k.algorithm = a
	k.private = private.(interface{ Public() crypto.PublicKey })
	return nil
}

// publicObjects are the data objects of the public key: 81 modulus and 82
// exponent, or 86 point (SP 800-73-4 part 2, table 11).
func (k *key) publicObjects() ([]byte, error) {
	switch public := k.private.Public().(type) {
	case *rsa.PublicKey:
		out := apdu.AppendTLV(nil, 0x81, public.N.Bytes())
		return apdu.AppendTLV(out, 0x82, big.NewInt(int64(public.E)).Bytes()), nil
	case *ecdsa.PublicKey:
		point, err := public.Bytes()
		return apdu.AppendTLV(nil, 0x86, point), err
	case ed25519.PublicKey:
		return apdu.AppendTLV(nil, 0x86, public), nil
	case *ecdh.PublicKey:
		return apdu.AppendTLV(nil, 0x86, public.Bytes()), nil
	}
	return nil, fmt.Errorf("public key of algorithm %02X is of an unknown kind", byte(k.algorithm))
}

// wipe clears what can be cleared of a key that left its slot for good.
func (k *key) wipe() {
	if k == nil {
		return
	}
	if seed, ok := k.private.(ed25519.PrivateKey); ok {
		clear(seed)
	}
}

// putKey is the one way a key comes into a slot, in place of what was there.
func (a *application) putKey(s slot, k *key) error {
	old, had := a.state.keys[s]
	a.state.keys[s] = k
	err := a.commit(func() {
		delete(a.state.keys, s)
		if had {
			a.state.keys[s] = old
		}
	})
	if err == nil {
		old.wipe()
	}
	return err
}
