package piv

import (
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"fmt"
	"io"
	"math/big"
	"time"

	"github.com/cloud-of-se/tses/apdu"
)

// Object identifiers of the extensions of an attestation. Their values are
// what verifiers in use expect: the version as three bare bytes, the serial
// number as an INTEGER, the policies as two bare bytes, the form factor as one.
var (
	oidVersion    = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 41482, 3, 3}
	oidSerial     = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 41482, 3, 7}
	oidPolicies   = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 41482, 3, 8}
	oidFormFactor = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 41482, 3, 9}
)

// A card has no clock. Its certificates are valid from before any of them was
// made, with no end that is known (RFC 5280, 4.1.2.5).
var (
	notBefore = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	notAfter  = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
)

// Tags of a certificate's data object (SP 800-73-4 part 1, table 10 and
// appendix A).
const (
	tagCertificate = apdu.Tag(0x70)
	tagCertInfo    = apdu.Tag(0x71)
	tagErrorCode   = apdu.Tag(0xFE)
)

// makeDeviceKey gives a new instance its attestation key and the certificate
// that the key has signed for itself.
func (a *application) makeDeviceKey() error {
	k := &key{origin: originGenerated, pin: slotAttestation.defaultPINPolicy(), touch: touchNever}
	private, err := newPrivate(algP256, a.card.Rand())
	if err != nil {
		return fmt.Errorf("making the attestation key: %w", err)
	}
	if err := k.setPrivate(private); err != nil {
		return err
	}
	number, err := certificateNumber(a.card.Rand())
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber:          number,
		Subject:               pkix.Name{CommonName: fmt.Sprintf("PIV Attestation Device %X", a.card.Serial())},
		NotBefore:             notBefore,
		NotAfter:              notAfter,
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(a.card.Rand(), template, template, k.private.Public(), k.private)
	if err != nil {
		return fmt.Errorf("signing the certificate of the attestation key: %w", err)
	}
	object := apdu.AppendTLV(nil, tagCertificate, der)
	object = apdu.AppendTLV(object, tagCertInfo, []byte{0})
	object = apdu.AppendTLV(object, tagErrorCode)
	a.state.keys[slotAttestation] = k
	a.state.objects[objectAttestation] = object
	return nil
}

// certificateNumber is a positive number of at most 128 bits.
func certificateNumber(random io.Reader) (*big.Int, error) {
	b := make([]byte, 16)
	if _, err := io.ReadFull(random, b); err != nil {
		return nil, fmt.Errorf("drawing the serial number of a certificate: %w", err)
	}
	b[0] = b[0]&0x7F | 0x40
	return new(big.Int).SetBytes(b), nil
}

// attest is the extension ATTEST: P1 slot. The answer is an X.509 certificate
// of the slot's public key, signed with the attestation key, that says where
// the key was made and by what rules it is used. A slot that is empty or holds
// an imported key is 6A80; an attestation key that was deleted, or whose
// certificate does not belong to it, is 6985.
func (s *selection) attest(c apdu.Command) ([]byte, error) {
	ref := slot(c.P1)
	if c.P2 != 0 || !ref.valid() || ref == slotAttestation {
		return nil, apdu.SWIncorrectP1P2
	}
	if len(c.Data) != 0 {
		return nil, apdu.SWWrongLength
	}
	k, ok := s.app.state.keys[ref]
	if !ok || k.origin != originGenerated {
		return nil, apdu.SWWrongData
	}
	issuer, signer, ok := s.app.state.issuer()
	if !ok {
		return nil, apdu.SWConditionsNotSatisfied
	}
	template, err := s.app.attestation(ref, k)
	if err != nil {
		return nil, err
	}
	template.NotBefore, template.NotAfter = issuer.NotBefore, issuer.NotAfter
	der, err := certify(s.app.card.Rand(), template, issuer, k.private.Public(), signer)
	if err != nil {
		return nil, fmt.Errorf("signing the attestation of slot %02X: %w", byte(ref), err)
	}
	return der, nil
}

// issuer is the attestation key with its certificate, if they belong together.
func (st *state) issuer() (*x509.Certificate, crypto.Signer, bool) {
	k, ok := st.keys[slotAttestation]
	if !ok {
		return nil, nil, false
	}
	signer, ok := k.private.(crypto.Signer)
	if !ok {
		return nil, nil, false
	}
	der, ok := apdu.FindTLV(st.objects[objectAttestation], tagCertificate)
	if !ok {
		return nil, nil, false
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, nil, false // the holder of the management key wrote something else there
	}
	own, ok := signer.Public().(interface{ Equal(crypto.PublicKey) bool })
	return cert, signer, ok && own.Equal(cert.PublicKey)
}

func (a *application) attestation(ref slot, k *key) (*x509.Certificate, error) {
	number, err := certificateNumber(a.card.Rand())
	if err != nil {
		return nil, err
	}
	id := a.card.Serial()
	serial, err := asn1.Marshal(int64(binary.BigEndian.Uint32(id[:])))
	if err != nil {
		return nil, err
	}
	return &x509.Certificate{
		SerialNumber: number,
		Subject:      pkix.Name{CommonName: fmt.Sprintf("PIV Attestation %02X", byte(ref))},
		ExtraExtensions: []pkix.Extension{
			{Id: oidVersion, Value: version[:]},
			{Id: oidSerial, Value: serial},
			{Id: oidPolicies, Value: []byte{byte(k.pin), byte(k.touch)}},
			{Id: oidFormFactor, Value: []byte{0}},
		},
	}, nil
}
