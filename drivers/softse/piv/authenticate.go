package piv

import (
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"io"

	"github.com/cloud-of-se/tses/apdu"
)

// generalAuthenticate is GENERAL AUTHENTICATE (SP 800-73-4 part 2, 3.2.4):
// P1 algorithm, P2 key reference.
func (s *selection) generalAuthenticate(c apdu.Command) ([]byte, error) {
	if c.P2 == refManagement {
		return s.authenticateManagement(c)
	}
	k, err := s.usableKey(c)
	if err != nil {
		return nil, err
	}
	t, err := parseDynamicTemplate(c.Data)
	if err != nil {
		return nil, err
	}
	s.pinFresh = false // one use for one PIN, whatever comes of it
	result, err := k.use(s.app.card.Rand(), t)
	if err != nil {
		return nil, err
	}
	return dynamicTemplate(tagResponse, result), nil
}

// usableKey is the private key that the command names, if its PIN policy is
// satisfied. The attestation key is for ATTEST alone: with it anything else
// could be signed that looks like an attestation.
func (s *selection) usableKey(c apdu.Command) (*key, error) {
	ref := slot(c.P2)
	if !ref.valid() || ref == slotAttestation {
		return nil, apdu.SWIncorrectP1P2
	}
	k, ok := s.app.state.keys[ref]
	if !ok {
		return nil, apdu.SWReferencedDataNotFound
	}
	if algorithm(c.P1) != k.algorithm {
		return nil, apdu.SWIncorrectP1P2
	}
	if k.pin == pinNever || s.hasPIN() && (k.pin == pinOnce || s.pinFresh) {
		return k, nil
	}
	return nil, apdu.SWSecurityStatus
}

// use is the operation that the template asks for: 82 empty and 81 for a
// signature or an RSA decryption, 82 empty and 85 for a key agreement.
func (k *key) use(random io.Reader, t dynamic) ([]byte, error) {
	if len(t.response) != 0 {
		return nil, apdu.SWWrongData
	}
	switch {
	case t.only(tagChallenge, tagResponse):
		return k.sign(random, t.challenge)
	case t.only(tagExponentiation, tagResponse):
		return k.agree(t.exponentiation)
	}
	return nil, apdu.SWWrongData
}

// sign takes what SP 800-73-4 part 2, appendix A.4, says the client prepares:
// a whole block for RSA (which is a decryption as well), a hash no longer
// than the curve's order for ECDSA; Ed25519 takes the message.
func (k *key) sign(random io.Reader, in []byte) ([]byte, error) {
	switch private := k.private.(type) {
	case *rsa.PrivateKey:
		out, err := rsaPrivate(private, random, in)
		if errors.Is(err, errRSABlock) {
			return nil, apdu.SWWrongData
		}
		return out, err
	case *ecdsa.PrivateKey:
		if len(in) == 0 || len(in) > (private.Curve.Params().BitSize+7)/8 {
			return nil, apdu.SWWrongData
		}
		return ecdsa.SignASN1(random, private, in)
	case ed25519.PrivateKey:
		return ed25519.Sign(private, in), nil
	}
	return nil, apdu.SWWrongData
}

// agree is the ECC CDH primitive (SP 800-56A, 5.7.1.2) with an uncompressed
// point, or X25519 (RFC 7748, 6.1) with 32 bytes. A point off the curve and
// an all-zero result are refused.
func (k *key) agree(point []byte) ([]byte, error) {
	private, err := k.ecdh()
	if err != nil {
		return nil, apdu.SWWrongData
	}
	peer, err := private.Curve().NewPublicKey(point)
	if err != nil {
		return nil, apdu.SWWrongData
	}
	shared, err := private.ECDH(peer)
	if err != nil {
		return nil, apdu.SWWrongData
	}
	return shared, nil
}

func (k *key) ecdh() (*ecdh.PrivateKey, error) {
	switch private := k.private.(type) {
	case *ecdh.PrivateKey:
		return private, nil
	case *ecdsa.PrivateKey:
		return private.ECDH()
	}
	return nil, apdu.SWWrongData
}
