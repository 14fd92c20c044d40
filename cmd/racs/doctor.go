package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/cloud-of-se/tses/stp/racs"
)

// doctor walks from the settings to the SEs and says for each step whether it
// is well, and if not what to do.
func (p *program) doctor(ctx context.Context, args []string) error {
	if len(args) > 0 {
		return usageError("doctor takes no arguments")
	}
	return (&doctor{program: p, options: p.options(), limit: 5 * time.Minute}).run(ctx)
}

// run takes the steps.
func (d *doctor) run(ctx context.Context) error {
	defer d.end()
	for _, step := range []func(context.Context) bool{
		d.checkSettings, d.checkName, d.checkTCP, d.checkTLS, d.checkClock, d.checkCredential, d.checkLetIn, d.checkSEs,
	} {
		if !step(ctx) || ctx.Err() != nil {
			break
		}
	}
	if d.unwritten != nil {
		return d.unwritten
	}
	if d.status != exitWell {
		return told(d.status)
	}
	return nil
}

// doctor holds what the steps found out. A step returns false where later ones
// are impossible.
type doctor struct {
	*program
	options   racs.Options
	limit     time.Duration // of trying the SEs, of which a server can have any number
	status    int           // the exit status of the first failure
	unwritten error         // why the findings could not be printed

	host       string
	cas        []*x509.Certificate
	credential tls.Certificate
	unloaded   error // why there is no credential
	tcp        net.Conn
	server     *x509.Certificate // the server's, once it was verified
	secure     *racs.Conn
	refused    error // the server's, of the credential within the handshake
	client     *racs.Client
}

// end closes what is open. The findings are there; how it ends changes nothing.
func (d *doctor) end() {
	switch {
	case d.client != nil:
		_ = d.client.Close()
	case d.secure != nil:
		_ = d.secure.Close()
	case d.tcp != nil:
		_ = d.tcp.Close()
	}
}

func (d *doctor) ok(step, format string, args ...any) bool {
	d.print(foreign("ok   " + step + ": " + fmt.Sprintf(format, args...)))
	return true
}

// fail reports a failure and what to do about it.
func (d *doctor) fail(status int, step, what, todo string) {
	d.print(foreign("FAIL "+step+": "+what), foreign("     "+todo))
	if d.status == exitWell {
		d.status = status
	}
}

func (d *doctor) print(lines ...string) {
	if err := d.printLines(lines...); err != nil && d.unwritten == nil {
		d.unwritten = err
	}
}

func (d *doctor) checkSettings(context.Context) bool {
	const step = "settings"
	if err := d.missing(); err != nil {
		what, todo, _ := strings.Cut(err.Error(), "; ")
		d.fail(exitUsage, step, what, todo)
		return false
	}
	host, _, err := net.SplitHostPort(d.program.server)
	if err != nil {
		d.fail(exitUsage, step, err.Error(), "write -server or RACS_SERVER as HOST:PORT, such as 127.0.0.1:7777")
		return false
	}
	d.host = host
	if d.cas, err = racs.LoadCA(d.ca); err != nil {
		d.fail(exitUsage, step, err.Error(), "give the server's ca.pem with -ca or RACS_CA")
		return false
	}
	return d.ok(step, "server %s, CA %s", d.program.server, d.cas[0].Subject)
}

func (d *doctor) checkName(ctx context.Context) bool {
	const step = "name"
	if net.ParseIP(d.host) != nil {
		return d.ok(step, "%s is an address, nothing to look up", d.host)
	}
	ctx, cancel := context.WithTimeout(ctx, d.bound())
	defer cancel()
	addresses, err := net.DefaultResolver.LookupHost(ctx, d.host)
	if err != nil {
		d.fail(exitNoSession, step, err.Error(), racs.DialAdvice(err))
		return false
	}
	return d.ok(step, "%s is %s", d.host, strings.Join(addresses, ", "))
}

func (d *doctor) checkTCP(ctx context.Context) bool {
	const step = "TCP"
	ctx, cancel := context.WithTimeout(ctx, d.bound())
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", d.program.server)
	if err != nil {
		d.fail(exitNoSession, step, err.Error(), racs.DialAdvice(err))
		return false
	}
	d.tcp = conn
	return d.ok(step, "connected to %s", conn.RemoteAddr())
}

// checkLetIn asks for the version. In TLS 1.3 the first answer shows whether
// the server took the credential.
func (d *doctor) checkLetIn(ctx context.Context) bool {
	const step = "let in"
	err := d.refused
	var version string
	if err == nil {
		d.client = racs.NewClient(d.secure, d.options)
		ctx, cancel := context.WithTimeout(ctx, d.bound())
		defer cancel()
		version, err = d.client.Version(ctx)
	}
	if refusal, ok := errors.AsType[*racs.HandshakeError](err); ok {
		d.fail(exitNoSession, step, fmt.Sprintf("%s (%v)", refusal.Reason, refusal.Err), refusal.Reason.Advice())
		return false
	}
	if isStatus(err) {
		return d.ok(step, "the server answers, though not with its version: %v", err)
	}
	if err != nil {
		d.fail(exitNoSession, step, err.Error(), "the log of the server may say why; check that a TSES is behind this address")
		return false
	}
	return d.ok(step, "the server speaks RACS %s", version)
}
