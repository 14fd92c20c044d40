package piv

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
)

// certify is [x509.CreateCertificate] for all kinds of keys that slots hold.
func certify(random io.Reader, template, issuer *x509.Certificate, public crypto.PublicKey, signer crypto.Signer) ([]byte, error) {
	x, ok := public.(*ecdh.PublicKey)
	if !ok {
		return x509.CreateCertificate(random, template, issuer, public, signer)
	}
	// x509 makes no certificates of X25519 keys. RFC 8410 writes
	// an Ed25519 key of the same bytes in the same form and length, so such a
	// certificate is made, its key renamed, and the result signed again.
	standIn := ed25519.PublicKey(x.Bytes())
	der, err := x509.CreateCertificate(random, template, issuer, standIn, signer)
	if err != nil {
		return nil, err
	}
	return renameKey(random, der, standIn, x, signer)
}

// signedCertificate is a Certificate (RFC 5280, 4.1) down to what is signed.
type signedCertificate struct {
	TBS       asn1.RawValue
	Algorithm pkix.AlgorithmIdentifier
	Signature asn1.BitString
}

func renameKey(random io.Reader, der []byte, from, to crypto.PublicKey, signer crypto.Signer) ([]byte, error) {
	old, err := x509.MarshalPKIXPublicKey(from)
	if err != nil {
		return nil, err
	}
	renamed, err := x509.MarshalPKIXPublicKey(to)
	if err != nil {
		return nil, err
	}
	var cert signedCertificate
	if _, err := asn1.Unmarshal(der, &cert); err != nil {
		return nil, err
	}
	if len(old) != len(renamed) || bytes.Count(cert.TBS.FullBytes, old) != 1 {
		return nil, errors.New("subject public key is not once in the certificate")
	}
	cert.TBS.FullBytes = bytes.Replace(cert.TBS.FullBytes, old, renamed, 1)
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	if cert.Signature.Bytes, err = signTBS(random, signer, parsed.SignatureAlgorithm, cert.TBS.FullBytes); err != nil {
		return nil, err
	}
	cert.Signature.BitLength = 8 * len(cert.Signature.Bytes)
	return asn1.Marshal(cert)
}

// signTBS signs with the algorithm that x509 chose for the signer's key.
func signTBS(random io.Reader, signer crypto.Signer, alg x509.SignatureAlgorithm, tbs []byte) ([]byte, error) {
	var hash crypto.Hash
	switch alg {
	case x509.PureEd25519:
		return signer.Sign(random, tbs, crypto.Hash(0))
	case x509.ECDSAWithSHA256, x509.SHA256WithRSA:
		hash = crypto.SHA256
	case x509.ECDSAWithSHA384:
		hash = crypto.SHA384
	default:
		return nil, fmt.Errorf("no hash for signature algorithm %v", alg)
	}
	h := hash.New()
	h.Write(tbs) // a hash never fails to take bytes
	return signer.Sign(random, h.Sum(nil), hash)
}
