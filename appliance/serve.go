package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"time"

	"github.com/cloud-of-se/tses/access"
	"github.com/cloud-of-se/tses/internal/journal"
	"github.com/cloud-of-se/tses/internal/version"
	"github.com/cloud-of-se/tses/stp"
	"github.com/cloud-of-se/tses/stp/racs/server"
)

// serve runs the TSES until the context is done.
func serve(ctx context.Context, f flags, stderr io.Writer) (err error) {
	if f.config, err = f.configFile(); err != nil {
		return err
	}
	c, err := configured(f)
	if err != nil {
		return err
	}
	log, endLog := bounded(stderr)
	defer endLog()
	log.Info("TSES", "version", version.String(), "configuration", cmp.Or(f.config, "built in"))
	if err := drop(c, &f, log); err != nil {
		return err
	}
	self, lock, err := openIdentity(f, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	if err := judgeLoss(c, f.state, log); err != nil {
		return err
	}
	if f.machine == nil {
		f.machine = otherMachine()
	}
	g, closeElements, err := openElements(c, f.state, f.machine, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeElements()) }()
	srv, err := newServer(c, self)
	if err != nil {
		return err
	}
	machine := machineResources()
	boundMemory(machine)
	srv.Grid, srv.Log, srv.Limits = g, log, limitsOf(c, machine, log)
	up, err := newUpdates(f, self, g, log)
	if err != nil {
		log.Error("this box takes no updates", "err", err)
	}
	srv.Handlers = up.handlers()
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", c.Listen)
	if err != nil {
		return fmt.Errorf("listen on %s: %w; -listen ADDR chooses another address", c.Listen, err)
	}
	defer ln.Close() // closed already where Serve has run
	certificate, err := self.serverCertificate(c, ln.Addr())
	if err != nil {
		return err
	}
	minVersion, err := c.minVersion()
	if err != nil {
		return err
	}
	srv.TLS = stp.TLSConfig(certificate, srv.Gate, minVersion)
	if clock := newBoxClock(log); clock != nil {
		srv.Gate.Clock = clock.now
		srv.Shown = newShower(f.state, self.Certificate(), clock, log).show
	}
	h := &heart{addr: ownAddress(ln.Addr()), cert: certificate, seids: g.SEIDs, log: log, chain: chainOf(self)}
	srv.Own = h.own
	looking, enough := context.WithCancel(ctx)
	defer enough()
	h.also = up.trial(looking)
	go tidy(looking) // ends with it
	stop, err := h.start(ctx)
	if err != nil {
		return err
	}
	defer stop()
	settle(f, log)
	self.announce(stderr, ln.Addr().String(), g.SEIDs())
	misbehave()
	return srv.Serve(ctx, ln)
}

// bounded is the log, in which no kind of lines can be all that is left: a box
// keeps 2 MB of it. Package stp has narrower bounds for each of its clients. stop
// ends it, and says what was left out.
func bounded(w io.Writer) (log *slog.Logger, stop func()) {
	const lines, interval = 200, 10 * time.Minute
	quota := journal.NewQuota(journal.NewHandler(w), lines, interval)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { quota.Run(ctx) })
	return quota.Logger(nil), func() { cancel(); running.Wait() }
}

func newServer(c config, self identity) (*stp.Server, error) {
	gate, err := newGate(c, self)
	if err != nil {
		return nil, err
	}
	return &stp.Server{
		Gate:    gate,
		Handler: &server.Server{APDUTime: time.Duration(c.Timeouts.APDU)},
	}, nil
}

// newGate lets in the credentials of the TSES's own CA, or its owner's, and of
// those that the configuration trusts.
func newGate(c config, self identity) (*access.Gate, error) {
	admission, err := c.Access.admission()
	if err != nil {
		return nil, err
	}
	trust, policy, err := admission.gateRules(self.Certificate())
	if err != nil {
		return nil, err
	}
	return access.NewGate(self.Registry(), trust, policy)
}

// announce says that the TSES is ready, and how to reach it, in lines that can
// be copied into another terminal.
func announce(w io.Writer, addr, state string, seids []string) {
	if host, port, err := net.SplitHostPort(addr); err == nil && net.ParseIP(host).IsUnspecified() {
		addr = net.JoinHostPort("localhost", port)
	}
	fmt.Fprintf(w, `RACS ready on %s
In another terminal:
  export RACS_SERVER=%s RACS_CA=%s RACS_CRED=%s
  go run ./cmd/racs list
`, addr, addr, filepath.Join(state, "ca.pem"), filepath.Join(state, credentialsDir, "user.pem"))
	if len(seids) > 0 {
		fmt.Fprintf(w, "  go run ./cmd/racs apdu %s 00A4040005A000000308\n", seids[0])
	}
}
