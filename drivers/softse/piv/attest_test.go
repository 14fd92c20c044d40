package piv

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"
	"math/big"
	"testing"

	"github.com/cloud-of-se/tses/apdu"
)

// deviceCertificate reads 5FFF01 as a client does.
func (c *client) deviceCertificate() *x509.Certificate {
	c.t.Helper()
	der, found := apdu.FindTLV(c.ok(0xCB, 0x3F, 0xFF, object(0x5FFF01)), 0x53, 0x70)
	if !found {
		c.t.Fatal("no certificate in 5FFF01")
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		c.t.Fatal(err)
	}
	return cert
}

func (c *client) attested(s slot) *x509.Certificate {
	c.t.Helper()
	cert, err := x509.ParseCertificate(c.ok(0xF9, byte(s), 0))
	if err != nil {
		c.t.Fatal(err)
	}
	return cert
}

func extension(cert *x509.Certificate, id asn1.ObjectIdentifier) []byte {
	for _, e := range cert.Extensions {
		if e.Id.Equal(id) {
			return e.Value
		}
	}
	return nil
}

func TestAttestationChain(t *testing.T) {
	c := newClient(t)
	c.authenticate()
	roots := x509.NewCertPool()
	roots.AddCert(c.deviceCertificate())
	for _, a := range []algorithm{algP256, algP384, algEd25519, algX25519, algRSA2048} {
		objects := bytes.Clone(c.generate(slotSignature, a))
		cert := c.attested(slotSignature)
		if _, err := cert.Verify(x509.VerifyOptions{Roots: roots}); err != nil {
			t.Errorf("algorithm %02X: %v", byte(a), err)
		}
		want, err := x509.MarshalPKIXPublicKey(publicKey(t, a, objects))
		if err != nil || !bytes.Equal(want, cert.RawSubjectPublicKeyInfo) {
			t.Errorf("algorithm %02X: attestation of another key", byte(a))
		}
		if cert.Subject.CommonName != "PIV Attestation 9C" {
			t.Errorf("subject %q", cert.Subject.CommonName)
		}
	}
}

func TestAttestationExtensions(t *testing.T) {
	c := newClient(t)
	c.authenticate()
	c.ok(0x47, 0, 0x82, unhex("AC09 800111 AA0103 AB0102"))
	cert := c.attested(slotRetiredFirst)
	for _, tt := range []struct {
		name string
		id   asn1.ObjectIdentifier
		want []byte
	}{
		{"version", asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 41482, 3, 3}, []byte{5, 7, 0}},
		{"serial", asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 41482, 3, 7}, unhex("020500C05E0007")},
		{"policies", asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 41482, 3, 8}, []byte{3, 2}},
		{"form factor", asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 41482, 3, 9}, []byte{0}},
	} {
		if got := extension(cert, tt.id); !bytes.Equal(got, tt.want) {
			t.Errorf("%s: got % X, want % X", tt.name, got, tt.want)
		}
	}
}

func TestAttestationKeyOfTheOwner(t *testing.T) {
	c := newClient(t)
	c.authenticate()
	c.generate(slotAuthentication, algP256)
	// A new key does not go with the old certificate.
	c.generate(slotAttestation, algP256)
	c.refused(apdu.SWConditionsNotSatisfied, 0xF9, 0x9A, 0)
	c.ok(0xDB, 0x3F, 0xFF, object(0x5FFF01), unhex("5303 700100"))
	c.refused(apdu.SWConditionsNotSatisfied, 0xF9, 0x9A, 0)
	c.ok(0xDB, 0x3F, 0xFF, object(0x5FFF01), unhex("5300"))
	c.refused(apdu.SWConditionsNotSatisfied, 0xF9, 0x9A, 0)
	c.ok(0xF6, 0xFF, 0xF9)
	c.refused(apdu.SWConditionsNotSatisfied, 0xF9, 0x9A, 0)
	c.refused(apdu.SWWrongData, 0x47, 0, 0xF9, unhex("AC038001E1"))
}

func TestAttestRefusesWhatWasNotMadeHere(t *testing.T) {
	c := newClient(t)
	c.authenticate()
	c.refused(apdu.SWWrongData, 0xF9, 0x9A, 0)
	c.ok(0xFE, 0xE0, 0x9A, apdu.AppendTLV(nil, 0x07, make([]byte, 32)))
	c.refused(apdu.SWWrongData, 0xF9, 0x9A, 0)
	c.ok(0xF6, 0x9E, 0x9A)
	c.refused(apdu.SWWrongData, 0xF9, 0x9E, 0)
	c.refused(apdu.SWIncorrectP1P2, 0xF9, 0xF9, 0)
}

// The owner's own attestation key may be of any kind that signs.
func TestAttestationBySignersOfEveryKind(t *testing.T) {
	for _, signing := range []algorithm{algP256, algP384, algEd25519, algRSA2048} {
		c := newClient(t)
		c.authenticate()
		c.generate(slotAttestation, signing)
		st := &c.card.app.state
		signer := st.keys[slotAttestation].private.(crypto.Signer)
		template := &x509.Certificate{
			SerialNumber: big.NewInt(1), NotBefore: notBefore, NotAfter: notAfter,
			IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		}
		der, err := x509.CreateCertificate(rand.Reader, template, template, signer.Public(), signer)
		if err != nil {
			t.Fatal(err)
		}
		c.ok(0xDB, 0x3F, 0xFF, object(0x5FFF01), apdu.AppendTLV(nil, 0x53, apdu.AppendTLV(nil, 0x70, der)))
		roots := x509.NewCertPool()
		roots.AddCert(c.deviceCertificate())
		for _, a := range []algorithm{algP256, algX25519} {
			c.generate(slotAuthentication, a)
			if _, err := c.attested(slotAuthentication).Verify(x509.VerifyOptions{Roots: roots}); err != nil {
				t.Errorf("%02X by %02X: %v", byte(a), byte(signing), err)
			}
		}
	}
}
