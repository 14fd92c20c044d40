package access

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
)

// ID tells one certificate from all others: issuer and serial number. It can be
// compared, and is the key of a map of what belongs to a credential.
//
// The issuer is known by its key and not by its name, as in RFC 6960, 4.1.1:
// nothing keeps two CAs from having the same name, and one from taking another's.
type ID struct {
	Issuer string // [KeyID] of the CA that signed it; "" where it is not known
	Serial string // lower-case hex digits, as [SerialString] has them
}

// String is the serial number and the beginning of the issuer's key, for the log.
func (id ID) String() string {
	if id.Issuer == "" {
		return id.Serial
	}
	return id.Serial + " of CA " + id.Issuer[:min(16, len(id.Issuer))]
}

// KeyID names the holder of a certificate's key, whatever certificates there are
// for that key: the SHA-256 of its SubjectPublicKeyInfo in lower-case hex.
func KeyID(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	return hex.EncodeToString(sum[:])
}

// chainIDs are the IDs of the certificates of a verified chain. The issuer of
// the last one is known only where it has signed itself.
func chainIDs(chain []*x509.Certificate) []ID {
	ids := make([]ID, len(chain))
	for i, cert := range chain {
		ids[i].Serial = SerialString(cert)
		switch {
		case i+1 < len(chain):
			ids[i].Issuer = KeyID(chain[i+1])
		case string(cert.RawIssuer) == string(cert.RawSubject):
			ids[i].Issuer = KeyID(cert)
		}
	}
	return ids
}
