package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/cloud-of-se/tses/stp/racs"
)

// bound is the time that a step of connecting has.
func (d *doctor) bound() time.Duration {
	if d.timeout > 0 {
		return d.timeout
	}
	return 10 * time.Second
}

// checkTLS does the handshake and judges the server. What the server has
// against the credential is kept for later.
func (d *doctor) checkTLS(ctx context.Context) bool {
	const step = "TLS"
	d.credential, d.unloaded = racs.LoadCredential(d.cred)
	config := d.tlsConfig(d.cas, d.credential)
	config.VerifyConnection = func(state tls.ConnectionState) error {
		d.server = state.PeerCertificates[0]
		return nil
	}
	conn, err := racs.Handshake(ctx, d.tcp, d.program.server, config, d.options)
	d.tcp, d.secure = nil, conn
	refusal, _ := errors.AsType[*racs.HandshakeError](err)
	switch {
	case err == nil:
		d.ok(step, "%s, %s", tls.VersionName(conn.ConnectionState().Version), describe(d.server))
		return true
	case d.server != nil && errors.Is(err, racs.ErrNotLetIn):
		d.refused = err
		return d.ok(step, "%s", describe(d.server))
	case refusal == nil:
		d.fail(exitNoSession, step, err.Error(), "check that a TSES is behind this address")
	case len(refusal.Chain) == 0:
		d.fail(exitNoSession, step, fmt.Sprintf("%s (%v)", refusal.Reason, refusal.Err), refusal.Reason.Advice())
	case d.implausible():
		d.failClock()
	default:
		d.fail(exitNoSession, step, fmt.Sprintf("%s: %s; this machine's clock says %s",
			refusal.Reason, describe(refusal.Chain[0]), day(d.now())), refusal.Reason.Advice())
	}
	return false
}

// describe says what a certificate is for and how long.
func describe(c *x509.Certificate) string {
	names := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 {
		names = []string{"no name"}
	}
	return fmt.Sprintf("server certificate for %s from %s, valid from %s until %s",
		strings.Join(names, ", "), c.Issuer, day(c.NotBefore), day(c.NotAfter))
}

func day(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// firstYear is one before which no clock that is right can be.
const firstYear = 2025

// implausible tells whether the clock was never set, or by mistake.
func (d *doctor) implausible() bool {
	year := d.now().UTC().Year()
	return year < firstYear || year > firstYear+75
}

func (d *doctor) failClock() {
	d.fail(exitNoSession, "clock", "this machine's clock says "+day(d.now()), "set the clock (timedatectl set-ntp true); certificates are judged by it")
}

// checkClock compares the clock with the one foreign source of dates that a
// handshake gives: the server's certificate, which has been found valid.
func (d *doctor) checkClock(context.Context) bool {
	if d.implausible() {
		d.failClock()
		return true
	}
	left := d.server.NotAfter.Sub(d.now())
	if left < 14*24*time.Hour {
		return d.ok("clock", "%s; note: the server's certificate expires in %v", day(d.now()), left.Round(time.Minute))
	}
	return d.ok("clock", "%s, within the dates of the server's certificate", day(d.now()))
}

// checkCredential judges the file and the certificate in it.
func (d *doctor) checkCredential(context.Context) bool {
	const step = "credential"
	if d.unloaded != nil {
		d.fail(exitUsage, step, d.unloaded.Error(), "give the PEM file that the server's administrator issued with -cred or RACS_CRED")
		return false
	}
	d.checkMode()
	cert := d.credential.Leaf
	planes := strings.Join(cert.Subject.OrganizationalUnit, ", ")
	switch now := d.now(); {
	case now.After(cert.NotAfter):
		d.fail(exitNoSession, step, fmt.Sprintf("%q expired on %s", cert.Subject.CommonName, day(cert.NotAfter)), "ask the server's administrator for a new one")
		return true
	case now.Before(cert.NotBefore):
		d.fail(exitNoSession, step, fmt.Sprintf("%q is valid from %s, this machine's clock says %s", cert.Subject.CommonName, day(cert.NotBefore), day(now)),
			"set the clock if it is wrong; else wait, or ask the server's administrator for another one")
		return true
	case planes == "":
		d.fail(exitServerError, step, fmt.Sprintf("%q names no plane (OU user or administrator)", cert.Subject.CommonName), "ask the server's administrator for one with -plane user")
		return true
	}
	from := "from " + cert.Issuer.String()
	if err := racs.CheckIssuer(d.credential, d.cas); err != nil {
		from += fmt.Sprintf(" (note: not the CA in %s, the server must trust it)", d.ca)
	}
	return d.ok(step, "%q, planes: %s, %s, valid until %s, key matches", cert.Subject.CommonName, planes, from, day(cert.NotAfter))
}

// checkMode finds a private key that others can read.
func (d *doctor) checkMode() {
	if what, todo := exposed(d.cred); what != "" {
		d.fail(exitUsage, "credential", what, todo)
	}
}

// exposed tells that others can read a file with a key, and what to do about it.
func exposed(file string) (what, todo string) {
	info, err := os.Stat(file)
	if err != nil || runtime.GOOS == "windows" { // which has other rights
		return "", ""
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return fmt.Sprintf("%s has mode %04o: others can use its key", file, mode), "chmod 600 " + quoted(file)
	}
	return "", ""
}
