package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/cloud-of-se/tses/gokrazy/sdcard"
)

// How often the TSES looks at itself, and how long the look may take. A
// supervisor has to be more patient than both together.
const (
	beatEvery = 2 * time.Second
	lookTime  = 8 * time.Second
)

// heart tells a supervisor that this TSES serves, by a byte in a pipe each time
// that it has convinced itself: it connects to its own listener, sees its own
// certificate, on a box with a chain that the owner's clients take, is refused
// for want of a credential, and the inventory answers. A process whose main loop
// hangs, or that is out of file descriptors, has no heartbeat however alive it is
// otherwise.
type heart struct {
	addr  string // of the listener
	cert  func() (*tls.Certificate, error)
	seids func() []string
	out   io.Writer
	log   *slog.Logger
	chain func([][]byte) error // judges the certificates that are shown, nil for not
	also  func() error         // what else has to be well, nil for nothing

	every, patience time.Duration // 0: beatEvery, lookTime

	mu   sync.Mutex
	mine net.Addr // this end of the connection that looks, nil for none
}

// heartbeat opens the pipe to the supervisor, nil if there is none.
func heartbeat() (*os.File, error) {
	text, ok := os.LookupEnv(sdcard.HeartbeatEnv)
	if !ok {
		return nil, nil
	}
	fd, err := strconv.ParseUint(text, 10, 16)
	if err != nil || fd < 3 {
		return nil, fmt.Errorf("%s=%q: want the number of an open file", sdcard.HeartbeatEnv, text)
	}
	return os.NewFile(uintptr(fd), "heartbeat"), nil
}

// own tells whether a connection is the one that looks.
func (h *heart) own(from net.Addr) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.mine != nil && from.String() == h.mine.String()
}

func (h *heart) looksFrom(a net.Addr) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.mine = a
}

// run beats until the context is done.
func (h *heart) run(ctx context.Context) {
	tick := time.NewTicker(cmp.Or(h.every, beatEvery))
	defer tick.Stop()
	for well := true; ; {
		err := h.look(ctx)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			_, err = h.out.Write([]byte{1})
		}
		if err != nil {
			h.log.Error("this TSES finds that it does not serve; without a heartbeat it is soon restarted", "err", err)
		} else if !well {
			h.log.Info("this TSES serves again")
		}
		well = err == nil
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// look tells what is wrong.
func (h *heart) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(h.patience, lookTime))
	defer cancel()
	if err := h.listens(ctx); err != nil {
		return fmt.Errorf("listener %s: %w", h.addr, err)
	}
	answered := make(chan struct{})
	go func() { // ends with the process at the latest: what hangs cannot be ended
		defer close(answered)
		h.seids()
	}()
	select {
	case <-answered:
		if h.also != nil {
			return h.also()
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("the inventory does not answer: %w", ctx.Err())
	}
}

var (
	errOther    = errors.New("its certificate is not this TSES's")
	errChain    = errors.New("its certificate is good for no client of the box's owner")
	errLetIn    = errors.New("it lets in who has no credential")
	errHandover = errors.New("it does not come to ask for a credential")
)

// listens connects as a client without a credential does.
func (h *heart) listens(ctx context.Context) error {
	want, err := h.cert()
	if err != nil {
		return err
	}
	raw, err := new(net.Dialer).DialContext(ctx, "tcp", h.addr)
	if err != nil {
		return err
	}
	defer raw.Close()
	h.looksFrom(raw.LocalAddr())
	seen := false
	conn := tls.Client(raw, &tls.Config{
		InsecureSkipVerify: true, // compared below, to the byte, and judged
		MinVersion:         tls.VersionTLS12,
		VerifyPeerCertificate: func(chain [][]byte, _ [][]*x509.Certificate) error {
			if string(chain[0]) != string(want.Certificate[0]) {
				return errOther
			}
			if h.chain != nil {
				if err := h.chain(chain); err != nil {
					return fmt.Errorf("%w: %w", errChain, err)
				}
			}
			seen = true
			return nil
		},
	})
	err = conn.HandshakeContext(ctx)
	if err == nil { // TLS 1.3 refuses afterwards
		if end, ok := ctx.Deadline(); ok {
			if err := conn.SetReadDeadline(end); err != nil {
				return err
			}
		}
		_, err = conn.Read(make([]byte, 1))
	}
	var alert *net.OpError
	switch {
	case err == nil:
		return errLetIn
	case seen && errors.As(err, &alert) && alert.Op == "remote error":
		return nil // the alert: it wants a credential
	case seen:
		return fmt.Errorf("%w: %w", errHandover, err)
	}
	return err
}

// chainOf judges what is shown for a TSES. A box is known to all of its clients
// by its owner's CA and its names, so it can judge as they do: an update on trial
// that nobody could reach is not well. Others have clients that know more.
func chainOf(self identity) func([][]byte) error {
	if b, ok := self.(box); ok {
		return b.CheckChain
	}
	return nil
}

// ownAddress is where this machine reaches what listens on an address.
func ownAddress(listen net.Addr) string {
	tcp, ok := listen.(*net.TCPAddr)
	if !ok || !tcp.IP.IsUnspecified() {
		return listen.String()
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(tcp.Port))
}

// start begins to beat, if there is a supervisor. stop ends it.
func (h *heart) start(ctx context.Context) (stop func(), err error) {
	pipe, err := heartbeat()
	if err != nil || pipe == nil {
		return func() {}, err
	}
	h.out = pipe
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		h.run(ctx)
	}()
	return func() {
		cancel()
		<-done
		// The supervisor sees the process end anyhow.
		_ = pipe.Close()
	}, nil
}
