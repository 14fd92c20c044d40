package access

import "crypto/x509"

// Serves tells whether the dates and the issuer of a server certificate will do.
func Serves(a *Authority, cert *x509.Certificate) bool { return a.serves(cert, nil) }
