// Package access decides who may do what: may this credential send this
// command to that SE?
//
// An access credential is an X.509 certificate with its key. The certificate's
// attributes give the rights ([FromCertificate]): the subject's CN is the
// name, its OUs are the planes, URIs of the form urn:tses:se:GLOB are the SEs
// that exist for it. The [Gate] lets it in, by its whole chain: what the CA can
// give that the chain ends in ([Trust]), and the rules of the configuration
// ([Policy]), narrow what it has; where a certificate of the chain is revoked or
// has expired, it is not let in, and its sessions end. A [Guard] judges each APDU
// by the planes and by what is selected on its logical channel.
//
// Besides what crypto/x509 asks of a chain (among others signatures with SHA-256
// or better, and clientAuth where there is an extended key usage, in each
// certificate), each of its keys has to be ECDSA on P-256, P-384 or P-521, Ed25519,
// or RSA of 2048 bits or more; and the user's certificate, not to be a CA's, to
// have digitalSignature where it has a key usage, to have a name of at most 64
// characters, and no URIs that look as if they meant SEs and do not ([ErrName]).
//
// Certificates are known by their issuer's key and their serial number ([ID]).
//
// The [Authority] is the TSES's own CA in its state directory: it issues
// credentials and the server's certificate, and keeps the [Registry] of what
// it issued and what is revoked. A running TSES watches the registry, so that
// a revocation ends live sessions without a restart.
//
// A [Box] is a TSES whose CA is elsewhere, with the owner who made its SD card.
//
// In the state directory:
//
//	ca.pem             the CA's certificate, which clients trust
//	ca.key             its key, mode 0600
//	server.pem         the server's certificate and key, renewed as needed
//	credentials.json   the registry: issued and revoked credentials
package access
