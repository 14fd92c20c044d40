package racs

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/cloud-of-se/tses/internal/statefile"
)

// maxPEM bounds a file of certificates and keys in bytes.
const maxPEM = 1 << 20

// ErrCredential is matched by the errors of [LoadCredential] and [LoadCA]
// about what a file holds. That it cannot be read is an *fs.PathError.
var ErrCredential = errors.New("unusable file")

// LoadCredential reads an access credential: a PEM file with the certificate,
// those of intermediate CAs behind it if there are any, and the private key in
// clear (PKCS #8, SEC 1 or PKCS #1), in any order. The file may be behind a link;
// what is no file, such as a FIFO, or can be written by everybody is refused.
func LoadCredential(file string) (tls.Certificate, error) {
	blocks, err := readPEM(file)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("credential: %w", err)
	}
	var certificates, keys []byte
	for _, block := range blocks {
		switch block.Type {
		case "CERTIFICATE":
			certificates = append(certificates, pem.EncodeToMemory(block)...)
		case "PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY":
			keys = append(keys, pem.EncodeToMemory(block)...)
		case "ENCRYPTED PRIVATE KEY":
			return tls.Certificate{}, unusable(file, "its key is encrypted, decrypt it first (openssl pkey)")
		}
	}
	defer clear(keys)
	switch {
	case len(certificates) == 0:
		return tls.Certificate{}, unusable(file, "it has no certificate; a credential is certificate and private key in one PEM file")
	case len(keys) == 0:
		return tls.Certificate{}, unusable(file, "it has no private key; a credential is certificate and private key in one PEM file")
	}
	credential, err := tls.X509KeyPair(certificates, keys)
	if err != nil {
		return tls.Certificate{}, unusable(file, fmt.Sprintf("certificate and private key do not belong together or cannot be read (%v)", err))
	}
	return credential, nil
}

// LoadCA reads the CA certificates that a server's certificate must come from,
// at least one, from a PEM file.
func LoadCA(file string) ([]*x509.Certificate, error) {
	blocks, err := readPEM(file)
	if err != nil {
		return nil, fmt.Errorf("CA: %w", err)
	}
	var cas []*x509.Certificate
	for _, block := range blocks {
		if block.Type != "CERTIFICATE" {
			continue
		}
		ca, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, unusable(file, fmt.Sprintf("certificate %d cannot be read (%v)", len(cas)+1, err))
		}
		cas = append(cas, ca)
	}
	if len(cas) == 0 {
		return nil, unusable(file, "it has no certificate; take the server's ca.pem")
	}
	return cas, nil
}

// ClientConfig is a TLS configuration for [Dial]: TLS 1.3, which keeps the
// credential's name from whoever listens, and a server whose certificate comes
// from one of the CAs. serverName is the name that the certificate must have,
// the address's host if empty. Set MinVersion to reach servers that have only
// TLS 1.2.
func ClientConfig(cas []*x509.Certificate, credential tls.Certificate, serverName string) *tls.Config {
	roots := x509.NewCertPool()
	for _, ca := range cas {
		roots.AddCert(ca)
	}
	config := &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: roots, ServerName: serverName}
	if len(credential.Certificate) > 0 {
		config.Certificates = []tls.Certificate{credential}
	}
	return config
}

// CheckIssuer says whether the credential comes from one of the CAs and may be
// used by a client, which is what a server looks at first. Whether it is in
// date is not judged. The error says whom it does come from.
func CheckIssuer(credential tls.Certificate, cas []*x509.Certificate) error {
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	for _, ca := range cas {
		roots.AddCert(ca)
	}
	var leaf *x509.Certificate
	for i, der := range credential.Certificate {
		certificate, err := x509.ParseCertificate(der)
		if err != nil {
			return fmt.Errorf("certificate %d of the credential: %w", i+1, err)
		}
		if i == 0 {
			leaf = certificate
		} else {
			between.AddCert(certificate)
		}
	}
	if leaf == nil {
		return fmt.Errorf("the credential has no certificate: %w", ErrCredential)
	}
	_, err := leaf.Verify(x509.VerifyOptions{
		Roots:         roots,
		Intermediates: between,
		CurrentTime:   leaf.NotBefore,
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return fmt.Errorf("the credential of %q, issued by %q, does not fit the CAs given: %w", leaf.Subject.CommonName, leaf.Issuer, err)
	}
	return nil
}

func readPEM(file string) ([]*pem.Block, error) {
	data, err := statefile.Given(maxPEM).Read(file)
	if errors.Is(err, statefile.ErrKind) || errors.Is(err, statefile.ErrSize) || errors.Is(err, statefile.ErrMode) {
		return nil, fmt.Errorf("%w: %w", ErrCredential, err)
	}
	if err != nil {
		return nil, err
	}
	defer clear(data)
	var blocks []*pem.Block
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			return blocks, nil
		}
		blocks = append(blocks, block)
	}
}

func unusable(file, why string) error {
	return fmt.Errorf("%s: %s: %w", file, why, ErrCredential)
}
