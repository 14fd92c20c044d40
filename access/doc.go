// Package access decides who may do what: may this credential send this
// command to that SE?
//
// An access credential is an X.509 certificate with its key. The certificate's
// attributes give the rights ([FromCertificate]): the subject's CN is the
// name, its OUs are the planes, URIs of the form urn:tses:se:GLOB are the SEs
// that exist for it. Rules of the configuration narrow that ([Policy]); a
// [Guard] judges each APDU by the planes and by what is selected on its logical
// channel.
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
