// Package stp is the listener of a TSES: it lets users in over mutually
// authenticated TLS, gives each connection a [Session], and ends it when the
// credential is revoked, the client goes away or the TSES shuts down.
//
// What is spoken inside TLS is a [Handler]'s business: RACS in racs/server.
// Every handler reaches the secure elements through [Session], the one place
// where access, ownership and the log meet:
//
//	handler -> Session -> access.Credential, access.Guard -> grid.Session -> driver
package stp

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/cloud-of-se/tses/access"
	"github.com/cloud-of-se/tses/grid"
	"github.com/cloud-of-se/tses/internal/journal"
)

// Handler speaks one Secure Transport Protocol.
type Handler interface {
	// Serve speaks with one client until it has done, the connection fails
	// or the context is done. The caller closes connection and session. Serve
	// returns nil when the client ended the session in good order.
	Serve(ctx context.Context, c *Conn, s *Session) error
}

// Refuser is a [Handler] that can tell a client in its protocol's words that it
// is not let in, though its credential is good. The client of one that cannot
// sees the connection end.
type Refuser interface {
	// Refuse tells the client why, a [*ShareError]. It does not take long.
	Refuse(ctx context.Context, c *Conn, why error) error
}

// Server is the listener. Its fields are set before Serve and not changed then.
type Server struct {
	TLS     *tls.Config // from [TLSConfig]
	Gate    *access.Gate
	Grid    *grid.Grid
	Handler Handler
	Limits  Limits
	Log     *slog.Logger

	// Handlers serve the clients that ask for another protocol by ALPN (RFC
	// 7301), under its name. Who asks for nothing gets Handler, who asks for
	// what is not here does not get in.
	Handlers map[string]Handler

	// Shown is given the certificate of every client that was let in. nil: nobody
	// is.
	Shown func(leaf *x509.Certificate)

	// Own tells whether a connection from an address is the TSES's own, which
	// looks whether it serves and has no credential. The log is silent on it.
	// nil: there are none.
	Own func(from net.Addr) bool

	door     *door       // for who has shown no credential yet
	shares   *shares     // of who has
	notices  notices     // of limits that are reached
	tls      *tls.Config // TLS with the names of Handlers
	dates    dates
	lines    *journal.Quota // of lines about each credential
	noise    quota          // of lines about who has shown no certificate
	refusals quota          // of lines about who has shown one and was not let in
	full     quota          // of lines about missing file descriptors

	mu   sync.Mutex
	last uint64 // the newest session's number
	live map[*Session]*living
}

// ErrDraining is why sessions are ended when the TSES shuts down.
var ErrDraining = errors.New("the TSES is shutting down")

// TLSConfig is the server's side of TLS: a client certificate of one of the
// gate's CAs, which the gate lets in, is required. min is tls.VersionTLS13, or
// tls.VersionTLS12 for old clients, then with AEAD cipher suites alone.
//
// Sessions are not resumed: every one is begun with a certificate that is
// checked at that time.
func TLSConfig(cert func() (*tls.Certificate, error), gate *access.Gate, min uint16) *tls.Config {
	return &tls.Config{
		MinVersion:             min,
		CipherSuites:           aeadSuites,
		ClientAuth:             tls.RequireAndVerifyClientCert,
		ClientCAs:              gate.Trust().Pool(),
		SessionTicketsDisabled: true,
		GetCertificate:         func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return cert() },
		VerifyConnection: func(cs tls.ConnectionState) error {
			_, err := gate.Admit(cs.VerifiedChains)
			return err
		},
	}
}

// aeadSuites are for TLS 1.2; those of TLS 1.3 cannot be chosen.
var aeadSuites = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
	tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

// Serve accepts clients until the context is done. Then it takes no more of
// them, lets running commands finish, ends all sessions with close_notify and
// returns nil.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	s.Limits = s.Limits.withDefaults()
	s.door, s.shares = newDoor(s.Limits), newShares(s.Limits)
	s.lines = journal.NewQuota(s.Log.Handler(), mostOfOne, quotaTime)
	s.tls = s.TLS
	if len(s.Handlers) > 0 {
		s.tls = s.TLS.Clone()
		s.tls.NextProtos = slices.Sorted(maps.Keys(s.Handlers))
	}
	s.dates = dates{clock: s.Gate.Clock, roots: s.tls.ClientCAs, lines: s.lines}
	s.tls = s.tls.Clone()
	s.dates.judge(s.tls)
	s.live = make(map[*Session]*living)
	sessions, end := context.WithCancelCause(context.WithoutCancel(ctx))
	defer end(nil)

	var running sync.WaitGroup
	running.Go(func() { s.Gate.Watch(sessions, s.recheck, s.registryFailed) })
	running.Go(func() { s.sumUp(sessions) })
	running.Go(func() { s.lines.Run(sessions) })
	running.Go(func() {
		s.door.run(sessions, func(limit string, value int) { s.notices.reached(s.Log, limit, value) })
	})
	stop := context.AfterFunc(ctx, func() {
		ln.Close() // wakes Accept
		s.door.close(ErrDraining, false)
	})
	defer stop()
	stopDoor := context.AfterFunc(sessions, func() { s.door.close(ErrDraining, true) })
	defer stopDoor()
	var clients sync.WaitGroup
	err := s.accept(ctx, ln, func(conn net.Conn) {
		if a := s.door.enter(ctx, conn); a != nil {
			clients.Go(func() { s.serve(sessions, ctx, a, clients.Go) })
			return
		}
		// There is nothing to be done about one that does not close.
		_ = conn.Close()
	})

	patience := time.AfterFunc(s.Limits.Drain, func() { end(ErrDraining) })
	if err != nil {
		end(err) // the listener broke: nobody asked for patience
	}
	clients.Wait()
	patience.Stop()
	end(ErrDraining)
	running.Wait()
	return err
}

// accept hands every connection to serve until the context is done.
func (s *Server) accept(ctx context.Context, ln net.Listener, serve func(net.Conn)) error {
	for {
		conn, err := ln.Accept()
		switch {
		case err == nil:
			serve(conn)
		case ctx.Err() != nil:
			return nil
		case outOfFiles(err):
			// Clients that end give descriptors back; a listener that
			// gives up would serve nobody.
			if s.full.take(mostRefusals) {
				s.Log.Warn("accept: out of file descriptors, waiting", "err", err)
			}
			select {
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
		case errors.Is(err, syscall.ECONNABORTED):
		default:
			return fmt.Errorf("accept on %s: %w", ln.Addr(), err)
		}
	}
}

func outOfFiles(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.ENOBUFS) || errors.Is(err, syscall.ENOMEM)
}

// serve lets one client in. draining is done when the TSES shuts down, ctx when
// it has no more patience. The session runs by start in a goroutine of its own:
// the stack that a handshake needs is not kept for it.
func (s *Server) serve(ctx, draining context.Context, a *arrival, start func(func())) {
	conn, cred, err := s.handshake(ctx, a)
	if err != nil {
		// First the descriptor is given back: the log may be slow. How closing
		// ends is of no interest.
		_ = a.Close()
		s.door.leave(a, false)
		s.logRefused(a, err)
		return
	}
	session := NewSession(cred, s.Grid, s.logOf(cred, a.RemoteAddr()))
	c := newConn(conn, s.Limits)
	if err := s.takeShare(draining, session, a); err != nil {
		s.refuse(ctx, c, session, err)
		s.door.leave(a, false)
		return
	}
	s.door.leave(a, true)
	start(func() { s.run(ctx, draining, c, session) })
}

// takeShare gives the session its part of its credential's share. While it waits
// for one it keeps its place at the door, and is among those that give way.
func (s *Server) takeShare(ctx context.Context, session *Session, a *arrival) error {
	s.door.waits(a, time.Now())
	share, err := s.shares.enter(ctx, session.cred, a.out)
	if err != nil {
		return err
	}
	session.part.shares, session.part.share = s.shares, share
	return nil
}

// refuse tells a client for which share it is not let in.
func (s *Server) refuse(ctx context.Context, c *Conn, session *Session, why error) {
	s.noteShare(session.log, why)
	stop := context.AfterFunc(ctx, c.kill)
	defer stop()
	if handler, ok := s.handler(c.Conn).(Refuser); ok {
		// A client that does not hear it sees the end of the connection.
		_ = handler.Refuse(ctx, c, why)
	}
	_ = c.goodbye() // as above
}

// noteShare tells the log that a credential's share is used up.
func (s *Server) noteShare(log *slog.Logger, err error) {
	var share *ShareError
	if errors.As(err, &share) {
		s.notices.reached(log, share.Limit, share.Value)
	}
}

// run serves one client to the end of its session.
func (s *Server) run(ctx, draining context.Context, c *Conn, session *Session) {
	defer session.part.leave()
	defer c.NetConn().Close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	// What ends the session in good order ends its command first, and leaves time
	// to say so.
	work, stopWork := context.WithCancelCause(ctx)
	defer stopWork(nil)
	session.recount = func() { s.recount(session) }
	session.noteShare = func(err error) { s.noteShare(session.log, err) }
	if err := s.enter(session, &living{conn: c, stopWork: stopWork, cut: cancel}); err != nil {
		session.log.Warn("session refused", "err", err)
		return
	}
	defer s.leave(session)
	if err := KeepAlive(c.raw()); err != nil {
		session.log.Warn("a client that vanishes is found out late", "err", err)
	}
	session.log.Info("session begins", "planes", session.cred.Planes.String())

	stopDrain := context.AfterFunc(draining, func() { c.end(ErrDraining) })
	defer stopDrain()
	stopKill := context.AfterFunc(ctx, c.kill)
	defer stopKill()
	err := s.handler(c.Conn).Serve(work, c, session)
	if cause := context.Cause(work); cause != nil {
		err = cause
	}
	// First the SEs, then the goodbye: a client that has seen it can have
	// them again at once.
	if err := session.Close(); err != nil {
		session.log.Error("power off", "err", err)
	}
	session.log.Info("session ends", "why", reason(err))
	// A client that has gone cannot be told goodbye; the connection is closed
	// anyhow.
	_ = c.goodbye()
}

func reason(err error) string {
	if err == nil {
		return "the client closed it"
	}
	return err.Error()
}

// handler is whom the client has asked for.
func (s *Server) handler(conn *tls.Conn) Handler {
	if h := s.Handlers[conn.ConnectionState().NegotiatedProtocol]; h != nil {
		return h
	}
	return s.Handler
}

// handshake waits for the client's turn, runs TLS and reads the credential.
func (s *Server) handshake(ctx context.Context, a *arrival) (*tls.Conn, *access.Credential, error) {
	if err := a.awaitHello(s.Limits.Handshake); err != nil {
		return nil, nil, err
	}
	if err := a.awaitTurn(ctx); err != nil {
		return nil, nil, err
	}
	conn := tls.Server(a, s.tls)
	if err := s.shake(ctx, a, conn); err != nil {
		return nil, nil, err
	}
	cred, err := s.admit(conn.ConnectionState())
	return conn, cred, err
}

// shake runs TLS within its time.
func (s *Server) shake(ctx context.Context, a *arrival, conn *tls.Conn) error {
	if err := a.SetDeadline(time.Now().Add(s.Limits.Handshake)); err != nil {
		return err
	}
	s.door.turns.take(false)
	defer s.door.turns.give()
	err := a.ended() // the deadline may have come behind that of its end
	if err == nil {
		// The door sets the deadline when the context is done.
		err = conn.HandshakeContext(context.WithoutCancel(ctx))
	}
	if ended := a.ended(); ended != nil {
		return ended
	}
	if err != nil {
		return err
	}
	a.in = true
	return a.SetDeadline(time.Time{})
}

// admit reads the credential of a client whose handshake was good.
func (s *Server) admit(cs tls.ConnectionState) (*access.Credential, error) {
	chains, err := s.dates.verified(cs)
	if err != nil {
		return nil, err
	}
	cred, err := s.Gate.Admit(chains)
	if err == nil && s.Shown != nil {
		s.Shown(cs.PeerCertificates[0])
	}
	return cred, err
}

// logRefused writes down who was not let in, as far as the quotas go: anybody
// can connect, and show a certificate of their own making. Who does not even
// come as far as showing one is noise of the net.
func (s *Server) logRefused(raw net.Conn, err error) {
	if s.Own != nil && s.Own(raw.RemoteAddr()) {
		return
	}
	log := s.Log.With("from", raw.RemoteAddr().String(), "err", err)
	var invalid *tls.CertificateVerificationError
	switch {
	case errors.As(err, &invalid):
		if s.refusals.take(mostRefusals) {
			cert := invalid.UnverifiedCertificates[0]
			log.Warn("not let in", "client", shownName(cert.Subject.CommonName), "serial", shownName(access.SerialString(cert)))
		}
	case errors.Is(err, access.ErrNotAdmitted):
		if s.refusals.take(mostRefusals) {
			log.Warn("not let in")
		}
	default:
		if s.noise.take(mostNoise) {
			log.Info("no TLS session")
		}
	}
}

// enter counts a session in, so that a recheck finds it.
func (s *Server) enter(session *Session, l *living) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last++
	l.id, l.since = s.last, time.Now()
	s.live[session] = l
	// A revocation may have come between the handshake and here.
	if err := s.Gate.Check(session.cred); err != nil {
		delete(s.live, session)
		return err
	}
	return nil
}

func (s *Server) leave(session *Session) {
	s.mu.Lock()
	delete(s.live, session)
	s.mu.Unlock()
}

// recheck ends the sessions whose credential would not be let in any more.
func (s *Server) recheck() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for session, l := range s.live {
		if err := s.Gate.Check(session.cred); err != nil {
			l.cut(err)
		}
	}
}

func (s *Server) registryFailed(err error) {
	if errors.Is(err, access.ErrVanished) {
		s.Log.Error("ALARM: revocations have vanished, and stay in force until this server ends", "err", err)
		return
	}
	s.Log.Error("revocations are not followed, the last known ones stay in force", "err", err)
}
