package access

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"strings"
)

// ErrWeak says that a certificate of a chain is not good enough to be relied on,
// though it was verified.
var ErrWeak = errors.New("the certificate is not good enough")

// minRSA is the shortest RSA key, in bits: NIST SP 800-57 part 1, 5.6.1.
const minRSA = 2048

// checkKey tells which keys are too weak, or of a kind that nothing here uses.
// Signatures by MD5 and SHA-1 are refused by crypto/x509 already.
func checkKey(cert *x509.Certificate) error {
	switch key := cert.PublicKey.(type) {
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < minRSA {
			return fmt.Errorf("%w: an RSA key of %d bits, want %d or more", ErrWeak, bits, minRSA)
		}
	case *ecdsa.PublicKey:
		if key.Curve != elliptic.P256() && key.Curve != elliptic.P384() && key.Curve != elliptic.P521() {
			return fmt.Errorf("%w: a key on the curve %s, want P-256, P-384 or P-521", ErrWeak, key.Curve.Params().Name)
		}
	case ed25519.PublicKey:
	default:
		return fmt.Errorf("%w: a key of the kind %v, want ECDSA, Ed25519 or RSA", ErrWeak, cert.PublicKeyAlgorithm)
	}
	return nil
}

// checkStrength tells what is wrong with a verified chain that crypto/x509 does
// not mind.
func checkStrength(chain []*x509.Certificate) error {
	for i, cert := range chain {
		if err := checkKey(cert); err != nil {
			if i > 0 {
				err = fmt.Errorf("of the CA %s: %w", nameOf(cert), err)
			}
			return err
		}
	}
	return checkHolder(chain[0])
}

// checkHolder tells why a certificate is none to be shown by who comes in. A
// key usage that is not there forbids nothing (RFC 5280, 4.2.1.3); one that is
// has to allow signatures (RFC 8446, 4.4.2.2).
func checkHolder(cert *x509.Certificate) error {
	if cert.BasicConstraintsValid && cert.IsCA {
		return fmt.Errorf("%w: it is a CA's, whose key is for certificates alone", ErrWeak)
	}
	if hasKeyUsage(cert) && cert.KeyUsage&x509.KeyUsageDigitalSignature == 0 {
		return fmt.Errorf("%w: its key usage lacks digitalSignature", ErrWeak)
	}
	return nil
}

// hasKeyUsage tells a key usage that allows nothing from none.
func hasKeyUsage(cert *x509.Certificate) bool {
	for _, e := range cert.Extensions {
		if e.Id.Equal(oidKeyUsage) {
			return true
		}
	}
	return false
}

var oidKeyUsage = asn1.ObjectIdentifier{2, 5, 29, 15}

// ErrName says that a certificate's name or the SEs that it names are not
// understood, so that what was meant cannot be given.
var ErrName = errors.New("the certificate's names are not understood")

// maxName is RFC 5280's ub-common-name, in characters.
const maxName = 64

// checkName tells why nobody who is let in can have a name. There may be none.
func checkName(name string) error {
	if n := len([]rune(name)); n > maxName {
		return fmt.Errorf("a name of %d characters, which may be %d at most (RFC 5280)", n, maxName)
	}
	if i := strings.IndexFunc(name, func(r rune) bool { return r < ' ' || r >= 0x7F && r < 0xA0 || r == 0xFFFD }); i >= 0 {
		return fmt.Errorf("the name %.80q has control characters in it", name)
	}
	return nil
}
