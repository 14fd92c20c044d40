package main

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"testing"
	"time"

	"github.com/cloud-of-se/tses/access"
	"github.com/cloud-of-se/tses/gokrazy/sdcard"
	"github.com/cloud-of-se/tses/stp/stptest"
)

// newHeart looks at a server.
func newHeart(ts *stptest.TSES) *heart {
	return &heart{
		addr: ts.Addr, seids: ts.Grid.SEIDs, log: slog.New(slog.DiscardHandler), out: io.Discard,
		cert: func() (*tls.Certificate, error) { return ts.Authority.ServerCertificate([]string{"localhost"}) },
	}
}

func TestLook(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		h := newHeart(stptest.Start(t, stptest.Options{MinVersion: version}))
		for range 3 {
			if err := h.look(t.Context()); err != nil {
				t.Errorf("%s: %v", tls.VersionName(version), err)
			}
		}
		if h.mine == nil || !h.own(h.mine) || h.own(&net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 7777}) {
			t.Error("it does not know its own connections")
		}
	}
}

// pretend is a listener that does with a connection what it is told.
func pretend(t *testing.T, do func(net.Conn)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	if do == nil {
		return ln.Addr().String() // nobody accepts; the kernel does
	}
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			do(conn)
			conn.Close()
		}
	}()
	return ln.Addr().String()
}

func TestLookFindsFault(t *testing.T) {
	ts := stptest.Start(t, stptest.Options{})
	cert, err := ts.Authority.ServerCertificate([]string{"localhost"})
	if err != nil {
		t.Fatal(err)
	}
	open := &tls.Config{Certificates: []tls.Certificate{*cert}} // asks for no credential
	for _, tt := range []struct {
		name  string
		spoil func(*heart)
		want  error // nil: any
	}{
		{"nobody accepts", func(h *heart) { h.addr = pretend(t, nil) }, nil},
		{"nobody listens", func(h *heart) { h.addr = "127.0.0.1:1" }, nil},
		{"it closes at once", func(h *heart) { h.addr = pretend(t, func(net.Conn) {}) }, nil},
		{"another's certificate", func(h *heart) {
			h.cert = func() (*tls.Certificate, error) {
				return &tls.Certificate{Certificate: [][]byte{{1, 2, 3}}}, nil
			}
		}, errOther},
		{"no certificate of its own", func(h *heart) { h.cert = func() (*tls.Certificate, error) { return nil, os.ErrNotExist } }, os.ErrNotExist},
		{"anybody is let in", func(h *heart) {
			h.addr = pretend(t, func(c net.Conn) { tls.Server(c, open).Write([]byte("welcome")) })
		}, errLetIn},
		{"it hangs after the certificate", func(h *heart) {
			h.addr = pretend(t, func(c net.Conn) {
				conn := tls.Server(c, open)
				conn.Handshake()
				io.Copy(io.Discard, conn)
			})
		}, errHandover},
		{"the inventory hangs", func(h *heart) { h.seids = func() []string { select {} } }, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHeart(ts)
			tt.spoil(h)
			h.patience = 200 * time.Millisecond
			if err := h.look(t.Context()); err == nil || tt.want != nil && !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

// A box does not find itself well with a certificate that no client of its owner
// would take, whatever its own copy of it says.
func TestLookAsTheOwnersClients(t *testing.T) {
	c, state := newCard(t, ""), t.TempDir()
	addr := c.start(t, state)
	b, err := access.OpenBox(c.dir, state)
	if err != nil {
		t.Fatal(err)
	}
	h := &heart{addr: addr, cert: b.ServerCertificate, chain: chainOf(box{b}), seids: func() []string { return nil }}
	if err := h.look(t.Context()); err != nil {
		t.Errorf("a box that is well: %v", err)
	}
	h = newHeart(stptest.Start(t, stptest.Options{}))
	h.chain = chainOf(box{b})
	if err := h.look(t.Context()); !errors.Is(err, errChain) {
		t.Errorf("a chain of another CA: %v, want %v", err, errChain)
	}
	if chainOf(&ownCA{}) != nil {
		t.Error("a TSES that is no box judges as an owner's clients do")
	}
}

// The heart stops while a look finds a fault, and beats again after it.
func TestBeats(t *testing.T) {
	ts := stptest.Start(t, stptest.Options{})
	h := newHeart(ts)
	h.every, h.patience = 10*time.Millisecond, 100*time.Millisecond
	r, w := io.Pipe()
	h.out = w
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); h.run(ctx) }()
	beat := make([]byte, 1)
	for range 5 {
		if _, err := r.Read(beat); err != nil {
			t.Fatal(err)
		}
	}
	if err := ts.Stop(); err != nil {
		t.Fatal(err)
	}
	read := make(chan error, 1)
	go func() {
		for { // one beat may be under way
			if _, err := r.Read(beat); err != nil {
				read <- err
				return
			}
			read <- nil
		}
	}()
	for deadline := time.After(time.Second); ; {
		select {
		case <-read:
			continue
		case <-time.After(300 * time.Millisecond):
		case <-deadline:
			t.Error("the heart beats although nobody listens")
		}
		break
	}
	cancel()
	w.Close()
	<-done
}

func TestHeartbeatEnv(t *testing.T) {
	for text, ok := range map[string]bool{"": false, "2": false, "x": false, "-1": false, "70000": false} {
		t.Setenv(sdcard.HeartbeatEnv, text)
		if f, err := heartbeat(); (err == nil) != ok || f != nil && !ok {
			t.Errorf("%q: %v, %v", text, f, err)
		}
	}
	os.Unsetenv(sdcard.HeartbeatEnv)
	if f, err := heartbeat(); f != nil || err != nil {
		t.Errorf("without a supervisor: %v, %v", f, err)
	}
}
