package access

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// The reasons for which the holder of a verified certificate is not let in.
var (
	ErrRevoked = errors.New("the credential is revoked")
	ErrExpired = errors.New("the credential has expired")
)

// watchInterval is how often a gate looks whether the registry has changed: a
// revocation has to be in force within a second.
const watchInterval = 250 * time.Millisecond

// Gate lets credentials in, or not, by the registry as it is now.
type Gate struct {
	registry *Registry
	now      func() time.Time
	revoked  atomic.Pointer[map[string]bool] // serials

	mu   sync.Mutex  // guards what follows
	seen os.FileInfo // the registry file that revoked is from
	news bool        // it was read, and Watch has not said so
}

// NewGate reads the registry.
func NewGate(r *Registry) (*Gate, error) {
	g := &Gate{registry: r, now: time.Now}
	if err := g.refresh(); err != nil {
		return nil, err
	}
	g.news = false
	return g, nil
}

// Admit reads the verified chain of a certificate, which comes first, up to a
// trusted CA's, and tells by [ErrRevoked], [ErrExpired] or [ErrNoPlane] that its
// holder is not let in. It looks into the registry as it is at this moment: who
// is revoked does not get in even a moment later.
func (g *Gate) Admit(chain []*x509.Certificate) (*Credential, error) {
	c, err := FromCertificate(chain[0])
	if err != nil {
		return nil, err
	}
	c.Chain = chainIDs(chain)
	c.Issuer = c.Chain[0].Issuer
	// A registry that cannot be read leaves the last one in force; Watch, which
	// meets the same error, tells of it.
	_ = g.refresh()
	return c, g.Check(c)
}

// Check tells whether a credential that was let in still would be.
func (g *Gate) Check(c *Credential) error {
	switch {
	case (*g.revoked.Load())[c.Serial]:
		return fmt.Errorf("credential %q, serial %s: %w", c.Name, c.Serial, ErrRevoked)
	case g.now().After(c.NotAfter):
		return fmt.Errorf("credential %q, serial %s: %w on %s", c.Name, c.Serial, ErrExpired, c.NotAfter.UTC().Format(time.RFC3339))
	}
	return nil
}

// Watch follows the registry until the context is done. It calls recheck
// after each change, and once a second so that expiry is noticed, and failed
// when the registry can be read no more; the last one that could stays in force.
func (g *Gate) Watch(ctx context.Context, recheck func(), failed func(error)) {
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	readable := true
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := g.refresh()
		if err != nil && readable {
			failed(err)
		}
		readable = err == nil
		if g.takeNews() || n%int(time.Second/watchInterval) == 0 {
			recheck()
		}
	}
}

// refresh reads the registry if its file is another than the one last read.
func (g *Gate) refresh() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	info, err := os.Stat(g.registry.path)
	if err == nil && g.seen != nil && os.SameFile(info, g.seen) &&
		info.ModTime().Equal(g.seen.ModTime()) && info.Size() == g.seen.Size() {
		return nil
	}
	entries, err := g.registry.Entries()
	if err != nil {
		return fmt.Errorf("registry of credentials: %w", err)
	}
	revoked := make(map[string]bool)
	for _, e := range entries {
		if !e.Revoked.IsZero() {
			revoked[e.Serial] = true
		}
	}
	g.revoked.Store(&revoked)
	g.seen, g.news = info, true
	return nil
}

// takeNews tells once that the registry was read again.
func (g *Gate) takeNews() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	news := g.news
	g.news = false
	return news
}
