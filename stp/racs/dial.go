package racs

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"
)

// Dial connects to the server at addr (HOST:PORT), and returns when it has let
// the credential in: it has then answered a first request. The error is a
// [HandshakeError] where TLS or the credential is at fault; [ClientConfig]
// makes a config.
func Dial(ctx context.Context, addr string, config *tls.Config, options Options) (*Client, error) {
	conn, err := DialTLS(ctx, addr, config, options)
	if err != nil {
		return nil, err
	}
	client := NewClient(conn, options)
	ctx, cancel := context.WithTimeout(ctx, client.options.HandshakeTimeout)
	defer cancel()
	// In TLS 1.3 the client is done before the server has judged the
	// credential. Only an answer shows that it was let in.
	if _, err := client.Version(ctx); err != nil {
		// A server that does not know the command has let the client in.
		if s, refused := errors.AsType[Status](err); !refused || s.Failed(SystemError, Begin) {
			return nil, errors.Join(fmt.Errorf("connect to %s: %w", addr, err), client.Close())
		}
	}
	return client, nil
}

// DialTLS connects to the server at addr (HOST:PORT) and does the handshake,
// for those who speak RACS themselves. Whether the server lets the credential
// in shows at the first read.
func DialTLS(ctx context.Context, addr string, config *tls.Config, options Options) (*Conn, error) {
	options = options.withDefaults()
	dialCtx, cancel := context.WithTimeout(ctx, options.DialTimeout)
	defer cancel()
	// A server that is gone, or a network that is another one now, is found out
	// after 25 s.
	dialer := net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 3}}
	conn, err := dialer.DialContext(dialCtx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %s: %w", addr, DialAdvice(err), err)
	}
	return Handshake(ctx, conn, addr, config, options)
}

// DialAdvice says what to do about an error of connecting.
func DialAdvice(err error) string {
	_, resolving := errors.AsType[*net.DNSError](err)
	switch {
	case resolving:
		return "the name is not known, check its spelling or give an IP address"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens there, check that the TSES runs and that the port is its own"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, syscall.ETIMEDOUT):
		return "nothing answers there, check the address and the firewalls on the way"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "there is no way to that address, check it and the network"
	}
	return "check the address, HOST:PORT"
}

// Handshake does TLS over a connection to the server at addr, whose host is
// the name that the server's certificate must have unless config has another.
// It owns conn: an error has closed it. The client's certificate is offered
// whatever CAs the server asks for, so that the server says what is wrong
// with it.
func Handshake(ctx context.Context, conn net.Conn, addr string, config *tls.Config, options Options) (*Conn, error) {
	options = options.withDefaults()
	config = config.Clone()
	if config.ServerName == "" {
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("address %q is not HOST:PORT: %w", addr, err), conn.Close())
		}
		config.ServerName = host
	}
	if config.GetClientCertificate == nil && len(config.Certificates) == 1 {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return &config.Certificates[0], nil
		}
	}
	secure := &Conn{Conn: tls.Client(conn, config), addr: addr, offered: config.GetClientCertificate != nil, now: time.Now}
	if config.Time != nil {
		secure.now = config.Time
	}
	ctx, cancel := context.WithTimeout(ctx, options.HandshakeTimeout)
	defer cancel()
	if err := secure.HandshakeContext(ctx); err != nil {
		failed := explainHandshake(err, addr, secure.offered, secure.now())
		// The connection is of no use any more, how closing it ends neither.
		_ = conn.Close()
		return nil, failed
	}
	return secure, nil
}

// Conn is a TLS connection to a server that may not have judged the client's
// certificate yet. The error of its first read is a [HandshakeError] where the
// server sent an alert instead of data.
type Conn struct {
	*tls.Conn
	addr    string
	offered bool // a certificate
	now     func() time.Time
	letIn   atomic.Bool
}

// Read reads like [tls.Conn.Read] and explains the alert that a refused
// credential is answered with.
func (c *Conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.letIn.Store(true)
	}
	if err == nil || c.letIn.Load() {
		return n, err
	}
	if _, sent := alertOf(err); sent {
		return n, explainHandshake(err, c.addr, c.offered, c.now())
	}
	if hungUp(err) && !errors.Is(err, net.ErrClosed) {
		return n, fmt.Errorf("it did so behind the handshake and before any answer, the log of the server may say why: %w", err)
	}
	return n, err
}
