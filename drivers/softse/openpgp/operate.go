package openpgp

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/asn1"
	"errors"
	"io"
	"math/big"

	"github.com/cloud-of-se/tses/apdu"
)

// Padding indicators of DECIPHER and ENCIPHER, which come before the rest of
// the data: an RSA cryptogram, an AES one.
const (
	cryptogramRSA = 0x00
	cryptogramAES = 0x02
)

// securityOperation is PERFORM SECURITY OPERATION (clauses 7.2.10 to 7.2.12):
// P1 P2 say what comes out and what goes in.
func (s *selection) securityOperation(c apdu.Command) ([]byte, error) {
	switch tagOf(c) {
	case 0x9E9A:
		return s.computeSignature(c.Data)
	case 0x8086:
		return s.decipher(c.Data)
	case 0x8680:
		return s.encipher(c.Data)
	}
	return nil, apdu.SWIncorrectP1P2
}

// computeSignature is COMPUTE DIGITAL SIGNATURE. The signature is counted, and
// the count committed, before it leaves. Where PW1 is good for one signature it
// has to be shown again.
func (s *selection) computeSignature(data []byte) ([]byte, error) {
	if err := s.need(toSign); err != nil {
		return nil, err
	}
	k := s.app.state.slots[slotSign].key
	if k == nil {
		return nil, apdu.SWReferencedDataNotFound
	}
	signature, err := k.sign(s.app.card.Rand(), data)
	if err != nil {
		return nil, err
	}
	if !s.app.state.severally {
		s.set(toSign, false)
	}
	err = s.app.change(func(st *state) { st.signatures = min(st.signatures+1, 1<<24-1) })
	return signature, err
}

// internalAuthenticate is INTERNAL AUTHENTICATE (clause 7.2.13).
func (s *selection) internalAuthenticate(c apdu.Command) ([]byte, error) {
	if c.P1 != 0 || c.P2 != 0 {
		return nil, apdu.SWIncorrectP1P2
	}
	if err := s.need(toUse); err != nil {
		return nil, err
	}
	k := s.app.state.slots[s.authenticate].key
	if k == nil {
		return nil, apdu.SWReferencedDataNotFound
	}
	return k.sign(s.app.card.Rand(), c.Data)
}

// sign takes a DigestInfo, or anything else of at most 40 % of the modulus, for
// RSA, which it pads as PKCS #1 v1.5 has it; a hash for ECDSA, of which r and s
// come out behind each other; and the message for EdDSA.
func (k *key) sign(random io.Reader, in []byte) ([]byte, error) {
	if len(in) == 0 {
		return nil, apdu.SWWrongData
	}
	switch private := k.private.(type) {
	case *rsa.PrivateKey:
		if len(in)*10 > private.Size()*4 {
			return nil, apdu.SWWrongData
		}
		return rsa.SignPKCS1v15(random, private, 0, in)
	case *ecdsa.PrivateKey:
		n := (private.Curve.Params().BitSize + 7) / 8
		if len(in) > max(n, 64) { // a longer hash than the curve's order is cut
			return nil, apdu.SWWrongData
		}
		return signECDSA(random, private, n, in)
	case ed25519.PrivateKey:
		return ed25519.Sign(private, in), nil
	}
	return nil, apdu.SWConditionsNotSatisfied // a key for agreement alone
}

func signECDSA(random io.Reader, private *ecdsa.PrivateKey, n int, in []byte) ([]byte, error) {
	der, err := ecdsa.SignASN1(random, private, in)
	if err != nil {
		return nil, err
	}
	var v struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &v); err != nil {
		return nil, err
	}
	out := make([]byte, 2*n)
	v.R.FillBytes(out[:n])
	v.S.FillBytes(out[n:])
	return out, nil
}

// decipher is DECIPHER with the key of confidentiality (or that which MSE has
// set), or with the AES key.
func (s *selection) decipher(data []byte) ([]byte, error) {
	if err := s.need(toUse); err != nil {
		return nil, err
	}
	if len(data) == 0 {
		return nil, apdu.SWWrongData
	}
	if data[0] == cryptogramAES {
		return s.app.crypt(cipher.NewCBCDecrypter, data[1:])
	}
	k := s.app.state.slots[s.decrypt].key
	if k == nil {
		return nil, apdu.SWReferencedDataNotFound
	}
	if private, ok := k.private.(*rsa.PrivateKey); ok {
		if data[0] != cryptogramRSA {
			return nil, apdu.SWWrongData
		}
		return decryptRSA(s.app.card.Rand(), private, data[1:])
	}
	point, ok := apdu.FindTLV(data, 0xA6, 0x7F49, 0x86)
	if !ok {
		return nil, apdu.SWWrongData
	}
	return k.agree(point)
}

// decryptRSA takes PKCS #1 v1.5 padding off, which is what OpenPGP has, and
// tells whether it was right, as the application is meant to: who may ask has
// shown PW1, and could decrypt anyway.
func decryptRSA(random io.Reader, private *rsa.PrivateKey, cryptogram []byte) ([]byte, error) {
	plain, err := private.Decrypt(random, cryptogram, nil)
	if errors.Is(err, rsa.ErrDecryption) {
		return nil, apdu.SWWrongData
	}
	return plain, err
}

// agree is the shared x-coordinate of ECDH (SP 800-56A, 5.7.1.2), or X25519 (RFC
// 7748, 6.1), whose point may have OpenPGP's prefix 40. A point off the curve
// and an all-zero result are refused.
func (k *key) agree(point []byte) ([]byte, error) {
	private, err := k.ecdh()
	if err != nil {
		return nil, err
	}
	if private.Curve() == ecdh.X25519() && len(point) == 33 {
		point = bytes.TrimPrefix(point, []byte{0x40})
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
	return nil, apdu.SWConditionsNotSatisfied
}

// encipher is ENCIPHER with the AES key.
func (s *selection) encipher(data []byte) ([]byte, error) {
	if err := s.need(toUse); err != nil {
		return nil, err
	}
	out, err := s.app.crypt(cipher.NewCBCEncrypter, data)
	if err != nil {
		return nil, err
	}
	return append([]byte{cryptogramAES}, out...), nil
}

// crypt is AES in CBC with an initial vector of zero, on whole blocks.
func (a *application) crypt(mode func(cipher.Block, []byte) cipher.BlockMode, in []byte) ([]byte, error) {
	switch {
	case len(a.state.aes) == 0:
		return nil, apdu.SWReferencedDataNotFound
	case len(in) == 0 || len(in)%aes.BlockSize != 0:
		return nil, apdu.SWWrongData
	}
	block, err := aes.NewCipher(a.state.aes)
	if err != nil {
		return nil, err
	}
	out := make([]byte, len(in))
	mode(block, make([]byte, aes.BlockSize)).CryptBlocks(out, in)
	return out, nil
}

// manageEnvironment is MSE SET (clause 7.2.18): DECIPHER (P2 B8) and INTERNAL
// AUTHENTICATE (P2 A4) use the key of confidentiality (2) or of authentication
// (3), until the selection ends.
func (s *selection) manageEnvironment(c apdu.Command) error {
	if c.P1 != 0x41 || c.P2 != 0xA4 && c.P2 != 0xB8 {
		return apdu.SWIncorrectP1P2
	}
	if len(c.Data) != 3 || c.Data[0] != 0x83 || c.Data[1] != 1 || c.Data[2] != 2 && c.Data[2] != 3 {
		return apdu.SWWrongData
	}
	if ref := slot(c.Data[2] - 1); c.P2 == 0xA4 {
		s.authenticate = ref
	} else {
		s.decrypt = ref
	}
	return nil
}

// maxChallenge bounds GET CHALLENGE, in bytes.
const maxChallenge = 2048

// getChallenge is GET CHALLENGE (clause 7.2.15): as many random bytes as Le
// says.
func (s *selection) getChallenge(c apdu.Command) ([]byte, error) {
	switch {
	case c.P1 != 0 || c.P2 != 0:
		return nil, apdu.SWIncorrectP1P2
	case len(c.Data) != 0 || c.Ne == 0 || c.Ne > maxChallenge:
		return nil, apdu.SWWrongLength
	}
	b := make([]byte, c.Ne)
	_, err := io.ReadFull(s.app.card.Rand(), b)
	return b, err
}
