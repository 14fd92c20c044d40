package main

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"net"
	"os"

	"github.com/cloud-of-se/tses/access"
)

// identity is who this TSES is and whom it lets in: by its own CA, or as the
// box of an owner.
type identity interface {
	Registry() *access.Registry     // what is revoked
	Certificate() *x509.Certificate // of the CA whose credentials are let in
	// serverCertificate makes sure that there is a certificate for the address
	// that is listened on, and returns what hands it out.
	serverCertificate(c config, listen net.Addr) (func() (*tls.Certificate, error), error)
	// announce says that the TSES is ready, and how to reach it.
	announce(w io.Writer, addr string, seids []string)
}

// openIdentity opens or makes what the state directory, or the SD card, says of
// this TSES. lock keeps other servers out of the state directory until it is
// closed.
func openIdentity(f flags, log *slog.Logger) (self identity, lock *os.File, err error) {
	if f.box != "" {
		return openBox(f, log)
	}
	authority, lock, err := openState(f.state)
	return &ownCA{Authority: authority, state: f.state, log: log}, lock, err
}

// ownCA is a TSES with a CA of its own in its state directory.
type ownCA struct {
	*access.Authority
	state string
	log   *slog.Logger
}

func (o *ownCA) serverCertificate(c config, listen net.Addr) (func() (*tls.Certificate, error), error) {
	cert := &serverCertificate{authority: o.Authority, names: serverNames(c, listen), log: o.log}
	_, err := cert.get()
	return cert.get, err
}

func (o *ownCA) announce(w io.Writer, addr string, seids []string) {
	announce(w, addr, o.state, seids)
}
