package stp

import (
	"crypto/tls"
	"crypto/x509"
	"time"

	"github.com/cloud-of-se/tses/access"
	"github.com/cloud-of-se/tses/internal/journal"
)

// dates judges the dates of client certificates as far as the clock can be
// trusted. While it is proven, crypto/tls does.
//
// While it is not, a certificate that has ended by the time that [access.Clock]
// names for its planes has ended, and its holder is not let in. One that is not
// valid yet may well be, and is taken; so is an administrator's that has ended by
// the clock alone. Each of these is said in the log. When the clock has been
// proven, the gate's next look ends the sessions of those that had expired.
type dates struct {
	clock func() access.Clock
	roots *x509.CertPool
	lines *journal.Quota
}

// judge makes a configuration of [TLSConfig] one that judges so.
func (d *dates) judge(c *tls.Config) {
	certain := c.VerifyConnection
	lenient := c.Clone()
	lenient.ClientAuth = tls.RequireAnyClientCert // verified by verify
	lenient.VerifyConnection = func(cs tls.ConnectionState) error {
		var err error
		if cs.VerifiedChains, err = d.verify(cs.PeerCertificates); err != nil {
			return err
		}
		if err := certain(cs); err != nil {
			return err
		}
		d.say(cs.PeerCertificates[0])
		return nil
	}
	c.Time = func() time.Time { return d.clock().Now }
	c.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		if !d.clock().Proven {
			return lenient, nil
		}
		return nil, nil
	}
}

// say writes down that a certificate is let in that the clock would not let in.
func (d *dates) say(leaf *x509.Certificate) {
	clock := d.clock()
	if !clock.Now.Before(leaf.NotBefore) && !clock.Now.After(leaf.NotAfter) {
		return
	}
	serial := access.SerialString(leaf)
	d.lines.Logger(serial, "client", shownName(leaf.Subject.CommonName), "serial", serial).Warn("the clock is not proven: the dates of this certificate are not judged by it",
		"from", leaf.NotBefore.UTC().Format(time.RFC3339), "until", leaf.NotAfter.UTC().Format(time.RFC3339), "clock", clock.Now.UTC().Format(time.RFC3339))
}

// verified are the chains of a client that was let in, up to trusted CAs.
func (d *dates) verified(cs tls.ConnectionState) ([][]*x509.Certificate, error) {
	if len(cs.VerifiedChains) > 0 {
		return cs.VerifiedChains, nil
	}
	return d.verify(cs.PeerCertificates) // the clock was not proven
}

// verify verifies a chain as crypto/tls does, but at the earliest time at which
// all of it is valid, from the one on that judges the planes that it asks for.
func (d *dates) verify(chain []*x509.Certificate) ([][]*x509.Certificate, error) {
	// What it asks for is not what the gate gives; that judges once more.
	var planes access.Plane
	if c, err := access.FromCertificate(chain[0]); err == nil {
		planes = c.Planes
	}
	at := d.clock().Judges(planes)
	intermediates := x509.NewCertPool()
	for i, cert := range chain {
		if cert.NotBefore.After(at) {
			at = cert.NotBefore
		}
		if i > 0 {
			intermediates.AddCert(cert)
		}
	}
	chains, err := chain[0].Verify(x509.VerifyOptions{
		Roots: d.roots, Intermediates: intermediates, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return nil, &tls.CertificateVerificationError{UnverifiedCertificates: chain, Err: err}
	}
	return chains, nil
}
