package racs

import (
	"crypto/x509"
	"fmt"
)

// A HandshakeError says why client and server did not come together. It
// matches [ErrNotLetIn] where the server refused the client's credential.
type HandshakeError struct {
	Server string              // HOST:PORT
	Reason Reason              // what is wrong
	Err    error               // what TLS said
	Chain  []*x509.Certificate // the server's certificates where they are at fault
}

// Error says what is wrong and what to do.
func (e *HandshakeError) Error() string {
	return fmt.Sprintf("TLS with %s: %s; %s (%v)", e.Server, e.Reason, e.Reason.Advice(), e.Err)
}

// Unwrap returns what TLS said.
func (e *HandshakeError) Unwrap() error { return e.Err }

// Is matches [ErrNotLetIn] where the server refused the credential.
func (e *HandshakeError) Is(target error) bool {
	return target == ErrNotLetIn && e.Reason.ofCredential()
}

// A Reason is why a handshake failed.
type Reason uint8

// The reasons. The first group is what the server has against the client's
// credential, the second what the client has against the server's
// certificate, the third what lies with neither.
const (
	OtherReason Reason = iota

	CredentialRefused     // bad_certificate: what servers in Go say to a revoked credential too
	CredentialRevoked     // certificate_revoked
	CredentialExpired     // certificate_expired
	CredentialMissing     // certificate_required, or any refusal where none was offered
	CredentialUnknownCA   // unknown_ca
	CredentialUnsupported // unsupported_certificate or certificate_unknown
	CredentialDenied      // access_denied

	ServerUnknownCA   // another CA's
	ServerName        // a certificate for another name
	ServerExpired     // by the client's clock
	ServerNotYetValid // by the client's clock
	ServerCertificate // unfit for another reason

	NoCommonVersion  // of TLS
	NoCommonCipher   // handshake_failure
	NotTLS           // the other side does not speak TLS
	HandshakeTimeout // it took too long
	HandshakeHungUp  // the other side closed the connection
)

type reasonWords struct{ what, advice string }

var reasons = [...]reasonWords{
	OtherReason: {"the handshake failed", "look into the log of the server"},

	CredentialRefused: {"the server refuses the credential: it was revoked, or is no certificate that the server can read",
		"ask the server's administrator for a new one (appliance credential list shows which are revoked)"},
	CredentialRevoked: {"the credential was revoked", "ask the server's administrator for a new one"},
	CredentialExpired: {"the credential expired, or is not valid yet by the server's clock",
		"ask the server's administrator for a new one; if its dates are right, the server's clock is wrong"},
	CredentialMissing: {"the server wants a credential and got none", "give one: certificate and key in a PEM file"},
	CredentialUnknownCA: {"the credential comes from a CA that the server does not trust",
		"take the credential that this server's administrator issued"},
	CredentialUnsupported: {"the server cannot use the credential's certificate",
		"ask the server's administrator for a client certificate with a key of a usual kind, such as ECDSA P-256"},
	CredentialDenied: {"the server knows the credential and denies it access", "ask the server's administrator"},

	ServerUnknownCA: {"the server's certificate comes from another CA",
		"take the ca.pem of this very server; if it is the right one, something else answers at this address"},
	ServerName: {"the server's certificate is for another name",
		"connect by a name that is in it, or set the expected server name"},
	ServerExpired: {"the server's certificate has expired", "check this machine's clock; if it is right, the server needs a new certificate"},
	ServerNotYetValid: {"the server's certificate is not valid yet",
		"check this machine's clock; if it is right, the server's was wrong when it made the certificate"},
	ServerCertificate: {"the server's certificate is unfit", "the server needs a new certificate"},

	NoCommonVersion: {"client and server have no version of TLS in common",
		"an older server may need TLS 1.2 to be admitted here, an older client min_version = \"1.2\" in the server's configuration"},
	NoCommonCipher:   {"client and server have no cipher suite in common, or the server refuses the credential", "look into the log of the server"},
	NotTLS:           {"what answers does not speak TLS", "check the port"},
	HandshakeTimeout: {"the handshake took too long", "check that a TSES is behind this address, and try again"},
	HandshakeHungUp:  {"the other side closed the connection in the handshake", "check the port, and look into the log of the server"},
}

func (r Reason) words() reasonWords {
	if int(r) < len(reasons) {
		return reasons[r]
	}
	return reasons[OtherReason]
}

// String says in words what is wrong.
func (r Reason) String() string { return r.words().what }

// Advice says in words what to do about it.
func (r Reason) Advice() string { return r.words().advice }

// ofCredential tells whether the server has something against the credential.
func (r Reason) ofCredential() bool { return r >= CredentialRefused && r <= CredentialDenied }
