package openpgp

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"math/big"
	"slices"

	"github.com/cloud-of-se/tses/apdu"
)

// Tags in a cardholder private key template (clause 4.4.3.12).
const (
	tagExponent = 0x91 // RSA's e
	tagPrimeP   = 0x92 // RSA's p; the private key of others
	tagPrimeQ   = 0x93
	tagPublic   = 0x99 // the public key of others than RSA
)

// errImport: the numbers are no key of the slot's algorithm.
var errImport = errors.New("imported numbers are no key of the algorithm")

// importKey is PUT DATA with INS DB (clause 7.2.8): an extended header list 4D
// with a control reference template, the tags and lengths of the values (7F48),
// and the values (5F48).
func (s *selection) importKey(c apdu.Command) error {
	if c.P1 != 0x3F || c.P2 != 0xFF {
		return apdu.SWIncorrectP1P2
	}
	if err := s.need(admin); err != nil {
		return err
	}
	outer, rest, err := apdu.ReadTLV(c.Data)
	if err != nil || outer.Tag != 0x4D || len(rest) != 0 {
		return apdu.SWWrongData
	}
	parts, err := apdu.ParseTLVs(outer.Value)
	if err != nil || len(parts) != 3 || parts[1].Tag != 0x7F48 || parts[2].Tag != 0x5F48 {
		return apdu.SWWrongData
	}
	ref, err := slotOf(parts[0])
	if err != nil {
		return err
	}
	values, err := splitValues(parts[1].Value, parts[2].Value)
	if err != nil {
		return err
	}
	a := s.app.state.slots[ref].attributes
	private, err := a.privateFrom(values)
	if err != nil || !a.of(private) {
		return apdu.SWWrongData // which of the numbers is wrong is not told
	}
	k, err := newKey(originImported, private)
	if err != nil {
		return err
	}
	return s.app.putKey(ref, k)
}

// splitValues takes the values apart by a list of tags and lengths, in which no
// values stand.
func splitValues(list, all []byte) (map[byte][]byte, error) {
	values := map[byte][]byte{}
	for len(list) > 0 {
		tag := list[0]
		n, rest, ok := readLength(list[1:])
		if _, twice := values[tag]; !ok || twice || n > len(all) {
			return nil, apdu.SWWrongData
		}
		values[tag], all, list = all[:n], all[n:], rest
	}
	if len(all) != 0 {
		return nil, apdu.SWWrongData
	}
	return values, nil
}

// readLength reads a BER length of up to two bytes behind its first.
func readLength(b []byte) (n int, rest []byte, ok bool) {
	switch {
	case len(b) >= 1 && b[0] < 0x80:
		return int(b[0]), b[1:], true
	case len(b) >= 2 && b[0] == 0x81:
		return int(b[1]), b[2:], true
	case len(b) >= 3 && b[0] == 0x82:
		return int(b[1])<<8 | int(b[2]), b[3:], true
	}
	return 0, nil, false
}

// privateFrom makes a private key of what is needed of the values. RSA's CRT
// numbers and modulus, and a public key on a curve of RFC 7748 or 8032, are
// computed and not read.
func (a attributes) privateFrom(values map[byte][]byte) (crypto.PrivateKey, error) {
	if bits := a.rsaBits(); bits != 0 {
		return rsaFrom(bits, values)
	}
	c, ok := a.curve()
	scalar := values[tagPrimeP]
	switch {
	case !ok || len(scalar) == 0:
		return nil, errImport
	case c.elliptic != nil:
		return ecdsaFrom(c.elliptic, scalar, values[tagPublic])
	case a.algorithm() == algEdDSA:
		if len(scalar) != ed25519.SeedSize {
			return nil, errImport
		}
		return ed25519.NewKeyFromSeed(scalar), nil
	}
	// OpenPGP writes the scalar of X25519 as a big-endian number, and so do the
	// tools that import it; RFC 7748 has it little-endian.
	if len(scalar) != 32 {
		return nil, errImport
	}
	little := slices.Clone(scalar)
	slices.Reverse(little)
	defer clear(little)
	return ecdh.X25519().NewPrivateKey(little)
}

// ecdsaFrom makes a key of its scalar, which comes without leading zeros, and
// holds it against the public key, where that comes with it.
func ecdsaFrom(c elliptic.Curve, scalar, public []byte) (crypto.PrivateKey, error) {
	n := (c.Params().BitSize + 7) / 8
	if len(scalar) > n {
		return nil, errImport
	}
	fixed := make([]byte, n)
	copy(fixed[n-len(scalar):], scalar)
	defer clear(fixed)
	private, err := ecdsa.ParseRawPrivateKey(c, fixed)
	if err != nil {
		return nil, err
	}
	point, err := private.PublicKey.Bytes()
	if err != nil || len(public) != 0 && !bytes.Equal(public, point) {
		return nil, errImport
	}
	return private, nil
}

// rsaFrom makes a key of e, p and q.
func rsaFrom(bits int, values map[byte][]byte) (crypto.PrivateKey, error) {
	for tag, most := range map[byte]int{tagExponent: 4, tagPrimeP: bits / 16, tagPrimeQ: bits / 16} {
		if n := len(values[tag]); n == 0 || n > most {
			return nil, errImport
		}
	}
	e := new(big.Int).SetBytes(values[tagExponent])
	p, q := new(big.Int).SetBytes(values[tagPrimeP]), new(big.Int).SetBytes(values[tagPrimeQ])
	if e.BitLen() > 31 || e.BitLen() < 2 || p.Bit(0)&q.Bit(0) == 0 || !p.ProbablyPrime(8) || !q.ProbablyPrime(8) {
		return nil, errImport
	}
	one := big.NewInt(1)
	phi := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
	d := new(big.Int).ModInverse(e, phi)
	if d == nil {
		return nil, errImport
	}
	private := &rsa.PrivateKey{
		PublicKey: rsa.PublicKey{N: new(big.Int).Mul(p, q), E: int(e.Int64())},
		D:         d,
		Primes:    []*big.Int{p, q},
	}
	private.Precompute()
	return private, private.Validate()
}
