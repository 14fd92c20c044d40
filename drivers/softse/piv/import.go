package piv

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"math/big"

	"github.com/cloud-of-se/tses/apdu"
)

// Tags of IMPORT ASYMMETRIC KEY: RSA's p, q, dP, dQ and qInv, and the one
// value of each of the others.
const (
	tagPrimeP    = apdu.Tag(0x01)
	tagPrimeQ    = apdu.Tag(0x02)
	tagExponentP = apdu.Tag(0x03)
	tagExponentQ = apdu.Tag(0x04)
	tagInverse   = apdu.Tag(0x05)
	tagScalar    = apdu.Tag(0x06)
	tagEd25519   = apdu.Tag(0x07)
	tagX25519    = apdu.Tag(0x08)
)

// errImport: the numbers are no key of that algorithm.
var errImport = errors.New("imported numbers are no key of the algorithm")

// importKey is the extension IMPORT ASYMMETRIC KEY: P1 algorithm, P2 key
// reference, the private key's data objects and the policies.
func (s *selection) importKey(c apdu.Command) error {
	alg, ref := algorithm(c.P1), slot(c.P2)
	if !ref.valid() || alg.rsaBits() == 0 && alg.curve() == nil && alg != algEd25519 && alg != algX25519 {
		return apdu.SWIncorrectP1P2
	}
	if err := s.needManagement(); err != nil {
		return err
	}
	if err := ref.accepts(alg); err != nil {
		return err
	}
	objects, err := apdu.ParseTLVs(c.Data)
	if err != nil {
		return apdu.SWWrongData
	}
	k := &key{origin: originImported}
	values, err := k.takePolicies(ref, objects)
	if err != nil {
		return err
	}
	private, err := privateFrom(alg, values)
	if err != nil {
		return apdu.SWWrongData // which of the numbers is wrong is not told
	}
	if err := k.setPrivate(private); err != nil || k.algorithm != alg {
		return apdu.SWWrongData
	}
	return s.app.putKey(ref, k)
}

func privateFrom(alg algorithm, values map[apdu.Tag][]byte) (crypto.PrivateKey, error) {
	if alg.rsaBits() != 0 {
		return rsaFrom(alg.rsaBits()/16, values)
	}
	if len(values) != 1 {
		return nil, errImport
	}
	switch alg {
	case algEd25519:
		seed := values[tagEd25519]
		if len(seed) != ed25519.SeedSize {
			return nil, errImport
		}
		return ed25519.NewKeyFromSeed(seed), nil
	case algX25519:
		return ecdh.X25519().NewPrivateKey(values[tagX25519])
	}
	return ecdsa.ParseRawPrivateKey(alg.curve(), values[tagScalar])
}

// rsaFrom makes a key of five numbers of half the modulus' length each, all
// of which have to agree. The public exponent, which is not among them, is
// the inverse of dP.
func rsaFrom(length int, values map[apdu.Tag][]byte) (*rsa.PrivateKey, error) {
	var x [5]*big.Int
	for i := range x {
		value := values[tagPrimeP+apdu.Tag(i)]
		if len(value) != length {
			return nil, errImport
		}
		x[i] = new(big.Int).SetBytes(value)
	}
	defer wipe(x[2:]...)
	if len(values) != len(x) {
		return nil, errImport
	}
	p, q, dp, dq, qinv := x[0], x[1], x[2], x[3], x[4]
	if p.Bit(0)&q.Bit(0) == 0 || !p.ProbablyPrime(8) || !q.ProbablyPrime(8) {
		return nil, errImport
	}
	e, d, err := exponents(p, q, dp, dq)
	if err != nil {
		return nil, err
	}
	if inverse := new(big.Int).ModInverse(q, p); inverse == nil || inverse.Cmp(qinv) != 0 {
		return nil, errImport
	}
	private := &rsa.PrivateKey{
		PublicKey: rsa.PublicKey{N: new(big.Int).Mul(p, q), E: e},
		D:         d,
		Primes:    []*big.Int{p, q},
	}
	private.Precompute()
	return private, private.Validate()
}

// exponents are the public exponent and the private one that belong to the
// CRT exponents.
func exponents(p, q, dp, dq *big.Int) (int, *big.Int, error) {
	one := big.NewInt(1)
	p1, q1 := new(big.Int).Sub(p, one), new(big.Int).Sub(q, one)
	phi := new(big.Int).Mul(p1, q1)
	defer wipe(p1, q1, phi)
	e := new(big.Int).ModInverse(dp, p1)
	if e == nil || e.BitLen() > 31 || e.BitLen() < 2 || dp.Cmp(p1) >= 0 || dq.Cmp(q1) >= 0 {
		return 0, nil, errImport
	}
	product := new(big.Int).Mul(e, dq)
	if product.Mod(product, q1).Cmp(one) != 0 {
		return 0, nil, errImport
	}
	d := new(big.Int).ModInverse(e, phi)
	if d == nil {
		return 0, nil, errImport
	}
	return int(e.Int64()), d, nil
}
