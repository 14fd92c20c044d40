package main

import (
	"crypto/x509"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/cloud-of-se/tses/gokrazy/sdcard"
	"github.com/cloud-of-se/tses/internal/statefile"
)

// shower shows the first process the certificates that say more of the time than
// it knows: the owner has signed them, and the time at which they begin has
// passed. It judges them itself.
type shower struct {
	path  string
	owner *x509.Certificate
	clock *boxClock
	log   *slog.Logger

	mu   sync.Mutex
	last time.Time // the beginning of the one that was shown last
}

// show is called with every certificate of a client that was let in.
func (s *shower) show(leaf *x509.Certificate) {
	if len(leaf.Raw) > sdcard.MaxShown || !leaf.NotBefore.After(s.clock.told().Evidence) || leaf.CheckSignatureFrom(s.owner) != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !leaf.NotBefore.After(s.last) {
		return
	}
	if err := statefile.Write(s.path, leaf.Raw, 0o600); err != nil {
		s.log.Warn("the first process does not hear of a time that has passed", "err", err)
		return
	}
	s.last = leaf.NotBefore
}

func newShower(state string, owner *x509.Certificate, clock *boxClock, log *slog.Logger) *shower {
	return &shower{path: filepath.Join(state, sdcard.ShownFile), owner: owner, clock: clock, log: log}
}
