package piv

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"math/big"
)

var (
	// errRSABlock: the input is no block for this modulus.
	errRSABlock = errors.New("RSA block is not as long as the modulus, or not below it")
	// errRSAFault: the result does not lead back to the input. It must not
	// leave the card: the difference would factor the modulus.
	errRSAFault = errors.New("RSA computation went wrong and was withheld")
)

// rsaPrivate is the raw private-key operation RSASP1 and RSADP (RFC 8017,
// 5.2.1 and 5.1.2) on a whole block, which the caller has padded or will
// unpad.
//
// crypto/rsa has the operation in constant time but offers it behind paddings
// only. A block that is padded as a PKCS #1 v1.5 signature is what
// rsa.SignPKCS1v15 with no hash makes again from its content, so that path is
// taken where it can be. The others (PSS, decryption) are computed blinded.
func rsaPrivate(private *rsa.PrivateKey, random io.Reader, block []byte) ([]byte, error) {
	if len(block) != private.Size() {
		return nil, errRSABlock
	}
	if content, ok := signatureContent(block); ok {
		return rsa.SignPKCS1v15(random, private, 0, content)
	}
	c := new(big.Int).SetBytes(block)
	if c.Cmp(private.N) >= 0 {
		return nil, errRSABlock
	}
	m, err := blindedRSA(private, random, c)
	if err != nil {
		return nil, err
	}
	defer wipe(m)
	return m.FillBytes(make([]byte, private.Size())), nil
}

// signatureContent is T of a block 00 01 FF..FF 00 T with at least eight FF
// (RFC 8017, 9.2).
func signatureContent(block []byte) ([]byte, bool) {
	if !bytes.HasPrefix(block, []byte{0, 1}) {
		return nil, false
	}
	n := 2
	for n < len(block) && block[n] == 0xFF {
		n++
	}
	if n < 10 || n+1 >= len(block) || block[n] != 0 {
		return nil, false
	}
	return block[n+1:], true
}

// blindedRSA is c^d mod n by the Chinese remainder theorem with math/big,
// whose time depends on what it computes with. So that this tells nothing of
// c or d, the base is multiplied with r^e for a random r, and a random
// multiple of p-1 and q-1 is added to the exponents; the result is checked
// while it is still blinded, and r is divided out last.
func blindedRSA(private *rsa.PrivateKey, random io.Reader, c *big.Int) (*big.Int, error) {
	n, e := private.N, big.NewInt(int64(private.E))
	r, inverse, err := blinding(random, n)
	if err != nil {
		return nil, err
	}
	defer wipe(r, inverse)
	base := new(big.Int).Exp(r, e, n)
	base.Mul(base, c).Mod(base, n)
	defer wipe(base)

	p, q := private.Primes[0], private.Primes[1]
	pre := private.Precomputed
	mp, err := blindedExp(random, base, pre.Dp, p)
	if err != nil {
		return nil, err
	}
	mq, err := blindedExp(random, base, pre.Dq, q)
	if err != nil {
		return nil, err
	}
	defer wipe(mp, mq)
	m := new(big.Int).Sub(mp, mq)
	m.Mul(m, pre.Qinv).Mod(m, p).Mul(m, q).Add(m, mq)

	if new(big.Int).Exp(m, e, n).Cmp(base) != 0 {
		wipe(m)
		return nil, errRSAFault
	}
	return m.Mul(m, inverse).Mod(m, n), nil
}

// blinding draws r below n and its inverse.
func blinding(random io.Reader, n *big.Int) (r, inverse *big.Int, err error) {
	// A number that shares a factor with n would break the key; the bound is
	// for a random source that returns zeros.
	for range 64 {
		r, err = rand.Int(random, n)
		if err != nil {
			return nil, nil, fmt.Errorf("drawing the blinding of an RSA operation: %w", err)
		}
		if inverse = new(big.Int).ModInverse(r, n); inverse != nil {
			return r, inverse, nil
		}
	}
	return nil, nil, errors.New("drawing the blinding of an RSA operation: the random source gives no number that is prime to the modulus")
}

// blindedExp is base^d mod prime with d + k(prime-1), k of 64 random bits.
func blindedExp(random io.Reader, base, d, prime *big.Int) (*big.Int, error) {
	var k [8]byte
	if _, err := io.ReadFull(random, k[:]); err != nil {
		return nil, fmt.Errorf("drawing the blinding of an RSA exponent: %w", err)
	}
	exponent := new(big.Int).Sub(prime, big.NewInt(1))
	exponent.Mul(exponent, new(big.Int).SetBytes(k[:])).Add(exponent, d)
	defer wipe(exponent)
	return new(big.Int).Exp(base, exponent, prime), nil
}

// wipe clears the words of numbers that were secret.
func wipe(numbers ...*big.Int) {
	for _, x := range numbers {
		words := x.Bits()
		clear(words[:cap(words)])
	}
}
