package stp

import (
	"crypto/tls"
	"crypto/x509"
	"time"

	"github.com/cloud-of-se/tses/access"
	"github.com/cloud-of-se/tses/internal/journal"
)

// judgeDates makes a configuration of [TLSConfig] judge the dates of client
// certificates only as far as the clock can be trusted, for [Server.Doubtful].
//
// So a certificate that has expired by the clock has expired, and its holder is
// not let in. One that is not valid yet by the clock may well be, and is taken;
// whether one that has not expired by the clock has expired in truth cannot be
// judged, and is not. Each of these is said in the log. When the clock has been
// set, the gate's next look ends the sessions of those that had expired.
func judgeDates(c *tls.Config, doubtful func() bool, lines *journal.Quota) {
	certain := c.VerifyConnection
	lenient := c.Clone()
	lenient.ClientAuth = tls.RequireAnyClientCert // verified by verifyLater
	lenient.VerifyConnection = func(cs tls.ConnectionState) error {
		var err error
		if cs.VerifiedChains, err = verifyLater(cs.PeerCertificates, c.ClientCAs, now(c)); err != nil {
			return err
		}
		if err := certain(cs); err != nil {
			return err
		}
		leaf := cs.PeerCertificates[0]
		serial := access.SerialString(leaf)
		lines.Logger(serial, "client", shownName(leaf.Subject.CommonName), "serial", serial).Warn("the clock is not set: the dates of this certificate are not judged",
			"from", leaf.NotBefore.UTC().Format(time.RFC3339), "until", leaf.NotAfter.UTC().Format(time.RFC3339))
		return nil
	}
	c.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		if doubtful() {
			return lenient, nil
		}
		return nil, nil
	}
}

func now(c *tls.Config) time.Time {
	if c.Time != nil {
		return c.Time()
	}
	return time.Now()
}

// verifyLater verifies a chain as crypto/tls does, but at the earliest time
// from now on at which all of it is valid.
func verifyLater(chain []*x509.Certificate, roots *x509.CertPool, now time.Time) ([][]*x509.Certificate, error) {
	intermediates := x509.NewCertPool()
	for i, cert := range chain {
		if cert.NotBefore.After(now) {
			now = cert.NotBefore
		}
		if i > 0 {
			intermediates.AddCert(cert)
		}
	}
	chains, err := chain[0].Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: intermediates, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return nil, &tls.CertificateVerificationError{UnverifiedCertificates: chain, Err: err}
	}
	return chains, nil
}
