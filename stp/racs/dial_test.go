package racs_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/cloud-of-se/tses/stp/racs"
)

// listen accepts connections on a loopback port until the test ends and plays
// each; it returns the address.
func listen(t *testing.T, play func(net.Conn)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return // the listener was closed
			}
			conn.SetDeadline(time.Now().Add(10 * time.Second))
			play(conn)
			conn.Close()
		}
	}()
	t.Cleanup(func() {
		listener.Close()
		<-done
	})
	return listener.Addr().String()
}

// serveVersion is a TLS server that answers GET-VERSION.
func serveVersion(t *testing.T, config *tls.Config) string {
	return listen(t, func(conn net.Conn) {
		server := &fake{t: t, conn: tls.Server(conn, config)}
		server.br = bufio.NewReader(server.conn)
		if server.conn.(*tls.Conn).Handshake() != nil {
			return // what the client says about it is tested
		}
		server.answer("+002 001 0.3")
		io.Copy(io.Discard, server.br)
	})
}

func TestDial(t *testing.T) {
	ca, other := newAuthority(t, "CA"), newAuthority(t, "other CA")
	good := ca.issue("user", nil)
	revoke := func([][]byte, [][]*x509.Certificate) error { return errors.New("revoked") }
	type change func(server, client *tls.Config)
	tests := []struct {
		name   string
		change change
		want   racs.Reason
		denied bool // by the server
	}{
		{"well", func(_, _ *tls.Config) {}, racs.OtherReason, false},
		{"credential revoked", func(s, _ *tls.Config) { s.VerifyPeerCertificate = revoke }, racs.CredentialRefused, true},
		{"credential revoked, TLS 1.2", func(s, c *tls.Config) {
			s.VerifyPeerCertificate, s.MaxVersion, c.MinVersion = revoke, tls.VersionTLS12, tls.VersionTLS12
		}, racs.CredentialRefused, true},
		{"credential expired", func(_, c *tls.Config) { c.Certificates = []tls.Certificate{ca.issue("old", expired)} }, racs.CredentialExpired, true},
		{"credential not yet valid", func(_, c *tls.Config) { c.Certificates = []tls.Certificate{ca.issue("new", notYetValid)} }, racs.CredentialExpired, true},
		{"credential of another CA", func(_, c *tls.Config) { c.Certificates = []tls.Certificate{other.issue("user", nil)} }, racs.CredentialUnknownCA, true},
		{"no credential", func(_, c *tls.Config) { c.Certificates = nil }, racs.CredentialMissing, true},
		{"no credential, TLS 1.2", func(s, c *tls.Config) {
			c.Certificates, s.MaxVersion, c.MinVersion = nil, tls.VersionTLS12, tls.VersionTLS12
		}, racs.CredentialMissing, true},
		{"server of another CA", func(s, _ *tls.Config) { s.Certificates = []tls.Certificate{other.issue("server", nil)} }, racs.ServerUnknownCA, false},
		{"server of another name", func(s, _ *tls.Config) { s.Certificates = []tls.Certificate{ca.issue("server", named("tses.example"))} }, racs.ServerName, false},
		{"server expired", func(s, _ *tls.Config) { s.Certificates = []tls.Certificate{ca.issue("server", expired)} }, racs.ServerExpired, false},
		{"server not yet valid", func(s, _ *tls.Config) { s.Certificates = []tls.Certificate{ca.issue("server", notYetValid)} }, racs.ServerNotYetValid, false},
		{"client's clock behind", func(_, c *tls.Config) { c.Time = func() time.Time { return time.Unix(0, 0) } }, racs.ServerNotYetValid, false},
		{"server for clients only", func(s, _ *tls.Config) {
			s.Certificates = []tls.Certificate{ca.issue("server", func(c *x509.Certificate) { c.ExtKeyUsage = c.ExtKeyUsage[:1] })}
		}, racs.ServerCertificate, false},
		{"old server", func(s, _ *tls.Config) { s.MaxVersion = tls.VersionTLS12 }, racs.NoCommonVersion, false},
		{"old client", func(s, c *tls.Config) {
			c.MinVersion, c.MaxVersion, s.MinVersion = 0, tls.VersionTLS12, tls.VersionTLS13
		}, racs.NoCommonVersion, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			serverConfig := &tls.Config{Certificates: []tls.Certificate{ca.issue("server", nil)}, ClientCAs: ca.pool(), ClientAuth: tls.RequireAndVerifyClientCert}
			clientConfig := racs.ClientConfig([]*x509.Certificate{ca.cert}, good, "")
			test.change(serverConfig, clientConfig)
			client, err := racs.Dial(shortly(t, 5*time.Second), serveVersion(t, serverConfig), clientConfig, racs.Options{})
			if err == nil {
				defer client.Close()
			}
			if test.want == racs.OtherReason {
				if err != nil {
					t.Errorf("got %v, want a client", err)
				}
				return
			}
			failed, ok := errors.AsType[*racs.HandshakeError](err)
			if !ok || failed.Reason != test.want || errors.Is(err, racs.ErrNotLetIn) != test.denied || errors.Is(err, racs.ErrServerGone) {
				t.Fatalf("got %v, want reason %q, ErrNotLetIn: %v", err, test.want, test.denied)
			}
			if strings.HasPrefix(test.name, "server") && len(failed.Chain) == 0 {
				t.Error("the error lacks the server's certificates")
			}
			if !strings.Contains(err.Error(), test.want.Advice()) {
				t.Errorf("%q does not say what to do", err)
			}
		})
	}
}

// Servers on other TLS libraries send alerts that Go's does not.
func TestAlertsOfOtherServers(t *testing.T) {
	ca := newAuthority(t, "CA")
	credential := ca.issue("user", nil)
	tests := []struct {
		alert byte
		want  racs.Reason
	}{
		{40, racs.NoCommonCipher}, {41, racs.CredentialMissing}, {42, racs.CredentialRefused}, {43, racs.CredentialUnsupported},
		{44, racs.CredentialRevoked}, {45, racs.CredentialExpired}, {46, racs.CredentialUnsupported}, {48, racs.CredentialUnknownCA},
		{49, racs.CredentialDenied}, {70, racs.NoCommonVersion}, {80, racs.OtherReason}, {116, racs.CredentialMissing},
	}
	for _, test := range tests {
		addr := listen(t, func(conn net.Conn) {
			// A fatal alert in a record of its own (RFC 8446, 5.1 and 6).
			if _, err := conn.Write([]byte{21, 3, 3, 0, 2, 2, test.alert}); err == nil {
				io.Copy(io.Discard, conn)
			}
		})
		_, err := racs.Dial(t.Context(), addr, racs.ClientConfig([]*x509.Certificate{ca.cert}, credential, ""), racs.Options{})
		failed, ok := errors.AsType[*racs.HandshakeError](err)
		if !ok || failed.Reason != test.want {
			t.Errorf("alert %d: got %v, want %q", test.alert, err, test.want)
		}
	}
}

func TestDialWithoutTLS(t *testing.T) {
	tests := []struct {
		name string
		play func(net.Conn)
		want racs.Reason
	}{
		{"another protocol", func(conn net.Conn) {
			io.WriteString(conn, "SSH-2.0-OpenSSH_9.9\r\n")
			io.Copy(io.Discard, conn)
		}, racs.NotTLS},
		{"silence", func(conn net.Conn) { io.Copy(io.Discard, conn) }, racs.HandshakeTimeout},
		{"hangs up", func(conn net.Conn) { conn.Read(make([]byte, 10)) }, racs.HandshakeHungUp},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			config := racs.ClientConfig(nil, tls.Certificate{}, "")
			_, err := racs.Dial(t.Context(), listen(t, test.play), config, racs.Options{HandshakeTimeout: 200 * time.Millisecond})
			failed, ok := errors.AsType[*racs.HandshakeError](err)
			if !ok || failed.Reason != test.want || errors.Is(err, racs.ErrNotLetIn) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

// A server that hangs up without an alert says nothing about the credential.
func TestDialEndsBehindTheHandshake(t *testing.T) {
	ca := newAuthority(t, "CA")
	addr := listen(t, func(conn net.Conn) {
		server := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{ca.issue("server", nil)}})
		server.Handshake()
	})
	_, err := racs.Dial(t.Context(), addr, racs.ClientConfig([]*x509.Certificate{ca.cert}, ca.issue("user", nil), ""), racs.Options{})
	if !errors.Is(err, racs.ErrServerGone) || !strings.Contains(err.Error(), "before any answer") {
		t.Errorf("got %v, want ErrServerGone before any answer", err)
	}
}

func TestDialFails(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := listener.Addr().String()
	listener.Close()
	tests := []struct{ name, addr, says string }{
		{"closed port", closed, "nothing listens there"},
		{"no port", "127.0.0.1", "check the address, HOST:PORT"},
		{"bad name", "no such name:7777", "name is not known"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := racs.Dial(shortly(t, 5*time.Second), test.addr, racs.ClientConfig(nil, tls.Certificate{}, ""), racs.Options{})
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %v, want an error that says %q", err, test.says)
			}
		})
	}
}

func TestDialIsCancelled(t *testing.T) {
	addr := listen(t, func(conn net.Conn) { io.Copy(io.Discard, conn) })
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	_, err := racs.Dial(ctx, addr, racs.ClientConfig(nil, tls.Certificate{}, ""), racs.Options{})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}
