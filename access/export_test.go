package access

import (
	"crypto/x509"
	"time"
)

// Serves tells whether the dates and the issuer of a server certificate will do.
func Serves(a *Authority, cert *x509.Certificate) bool { return a.Lacks(cert, nil) == nil }

// SetClock sets a gate's.
func SetClock(g *Gate, now time.Time) {
	g.Clock = func() Clock { return Clock{Now: now, Proven: true} }
}
