package openpgp

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

// origin tells where a key came from, as DO DE does.
type origin byte

const (
	originNone      origin = 0
	originGenerated origin = 1
	originImported  origin = 2
)

// key is a private key. It is not changed once it is there.
type key struct {
	origin origin

	// private is *rsa.PrivateKey, *ecdsa.PrivateKey, ed25519.PrivateKey, or
	// *ecdh.PrivateKey for X25519, as the attributes of its slot say.
	private interface {
		Public() crypto.PublicKey
	}
}

// of tells whether a private key of the standard library is one of the
// attributes.
func (a attributes) of(private any) bool {
	c, _ := a.curve()
	switch k := private.(type) {
	case *rsa.PrivateKey:
		return k.N.BitLen() == a.rsaBits() && len(k.Primes) == 2
	case *ecdsa.PrivateKey:
		return c.elliptic != nil && k.Curve == c.elliptic
	case ed25519.PrivateKey:
		return a.algorithm() == algEdDSA
	case *ecdh.PrivateKey:
		return a.algorithm() == algECDH && c.elliptic == nil && k.Curve() == ecdh.X25519()
	}
	return false
}

func newKey(o origin, private crypto.PrivateKey) (*key, error) {
	k, ok := private.(interface{ Public() crypto.PublicKey })
	if !ok {
		return nil, fmt.Errorf("private key %T has no public key", private)
	}
	return &key{origin: o, private: k}, nil
}

// makePrivate makes a private key; RSA takes from some tenths of a second to
// several seconds.
func (a attributes) makePrivate(random io.Reader) (crypto.PrivateKey, error) {
	if bits := a.rsaBits(); bits != 0 {
		return rsa.GenerateKey(random, bits)
	}
	c, ok := a.curve()
	switch {
	case !ok:
		return nil, apdu.SWConditionsNotSatisfied
	case c.elliptic != nil:
		return ecdsa.GenerateKey(c.elliptic, random)
	case a.algorithm() == algEdDSA:
		_, private, err := ed25519.GenerateKey(random)
		return private, err
	}
	return ecdh.X25519().GenerateKey(random)
}

// generate is GENERATE ASYMMETRIC KEY PAIR (clause 7.2.14): P1 80 makes a key,
// 81 reads the public key of one that is there; the data field names it by its
// control reference template.
func (s *selection) generate(c apdu.Command) ([]byte, error) {
	if c.P1 != 0x80 && c.P1 != 0x81 || c.P2 != 0 {
		return nil, apdu.SWIncorrectP1P2
	}
	if c.P1 == 0x80 {
		if err := s.need(admin); err != nil {
			return nil, err
		}
	}
	crt, rest, err := apdu.ReadTLV(c.Data)
	if err != nil || len(rest) != 0 {
		return nil, apdu.SWWrongData
	}
	ref, err := slotOf(crt)
	if err != nil {
		return nil, err
	}
	if c.P1 == 0x80 {
		if err := s.app.makeKey(ref); err != nil {
			return nil, err
		}
	}
	k := s.app.state.slots[ref].key
	if k == nil {
		return nil, apdu.SWReferencedDataNotFound
	}
	public, err := k.publicObjects()
	if err != nil {
		return nil, err
	}
	return apdu.AppendTLV(nil, 0x7F49, public), nil
}

func (a *application) makeKey(ref slot) error {
	private, err := a.state.slots[ref].attributes.makePrivate(a.card.Rand())
	if err != nil {
		return err
	}
	k, err := newKey(originGenerated, private)
	if err != nil {
		return err
	}
	return a.putKey(ref, k)
}

// putKey is the one way a key comes into its slot, in place of what was there.
// With a new signature key the signature counter begins anew.
func (a *application) putKey(ref slot, k *key) error {
	old := a.state.slots[ref].key
	err := a.change(func(st *state) {
		st.slots[ref].key = k
		if ref == slotSign {
			st.signatures = 0
		}
	})
	if err == nil {
		old.wipe()
	}
	return err
}

// publicObjects are the data objects of the public key: 81 modulus and 82
// exponent, or 86 point.
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
	return nil, fmt.Errorf("public key %T is of an unknown kind", k.private.Public())
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
