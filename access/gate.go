package access

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// The reasons for which the holder of a verified certificate is not let in,
// besides [ErrNoPlane], [ErrName] and [ErrWeak]. Each of them is ErrNotAdmitted.
var (
	ErrNotAdmitted = errors.New("not let in")
	ErrRevoked     = errors.New("the credential is revoked")
	ErrExpired     = errors.New("the credential has expired")
	ErrUntrusted   = errors.New("no CA that is trusted has signed the certificate")
)

// ErrVanished says that revocations are in the registry no more. A gate that has
// seen them keeps them.
var ErrVanished = errors.New("revocations have vanished from the registry of credentials")

// watchInterval is how often a gate looks whether the registry has changed: a
// revocation has to be in force within a second.
const watchInterval = 250 * time.Millisecond

// Gate lets credentials in, or not, by the CAs that are trusted, the rules and
// the registry as it is now.
type Gate struct {
	// Clock is what is known of the time, asked for each credential. It is set
	// before the first one comes; NewGate makes it [SystemClock].
	Clock func() Clock

	registry *Registry
	trust    *Trust
	policy   *Policy
	revoked  atomic.Pointer[revocations]

	mu   sync.Mutex  // guards what follows
	seen os.FileInfo // the registry file that revoked is from
	news bool        // it was read, and Watch has not said so
	lost error       // what it lacked, and Watch has not said so
}

// revocations are what a registry has revoked. An [ID] without issuer stands for
// that serial number of every CA.
type revocations map[ID]bool

func (r revocations) of(id ID) bool { return r[id] || r[ID{Serial: id.Serial}] }

// NewGate reads the registry. A nil policy has no rules.
func NewGate(r *Registry, t *Trust, p *Policy) (*Gate, error) {
	if p == nil {
		p = new(Policy)
	}
	g := &Gate{registry: r, trust: t, policy: p, Clock: SystemClock}
	g.revoked.Store(new(revocations))
	if err := g.refresh(); err != nil {
		return nil, err
	}
	g.news = false
	return g, nil
}

// Trust is the CAs whose credentials the gate lets in.
func (g *Gate) Trust() *Trust { return g.trust }

// Admit reads the verified chains of a client's certificate, as
// [crypto/tls.ConnectionState] has them: each begins with the certificate and
// ends in one of [Gate.Trust]. One of them has to be good in whole; where several
// are, that of the TSES's own CA counts, or else that of the CA that was named
// first. An error is [ErrNotAdmitted] and says why. Admit looks into the registry
// as it is at this moment: who is revoked does not get in even a moment later.
func (g *Gate) Admit(chains [][]*x509.Certificate) (*Credential, error) {
	// A registry that cannot be read leaves the last one in force; Watch, which
	// meets the same error, tells of it.
	_ = g.refresh()
	var why error = ErrUntrusted
	for _, chain := range g.trust.ranked(chains) {
		c, err := g.judge(chain)
		if err == nil {
			return c, nil
		}
		if why == ErrUntrusted {
			why = err
		}
	}
	return nil, notAdmitted{why}
}

// notAdmitted is an error that is ErrNotAdmitted, without its words.
type notAdmitted struct{ error }

func (n notAdmitted) Is(target error) bool { return target == ErrNotAdmitted }
func (n notAdmitted) Unwrap() error        { return n.error }

// judge is Admit for one chain.
func (g *Gate) judge(chain []*x509.Certificate) (*Credential, error) {
	grant, _, _ := g.trust.grantOf(chain)
	c, err := FromCertificate(chain[0])
	if err != nil {
		return nil, err
	}
	c.CA, c.Chain = grant.name, chainIDs(chain)
	c.Issuer = c.Chain[0].Issuer
	for _, cert := range chain {
		if cert.NotAfter.Before(c.NotAfter) {
			c.NotAfter = cert.NotAfter
		}
	}
	if err := checkStrength(chain); err != nil {
		return nil, fmt.Errorf("%v: %w", c, err)
	}
	if err := g.policy.judge(c, grant); err != nil {
		return nil, err
	}
	return c, g.Check(c)
}

// ranked are the chains that end in a trusted certificate, those that go before
// others first.
func (t *Trust) ranked(chains [][]*x509.Certificate) [][]*x509.Certificate {
	rank := func(chain []*x509.Certificate) int {
		_, rank, _ := t.grantOf(chain)
		return rank
	}
	chains = slices.DeleteFunc(slices.Clone(chains), func(chain []*x509.Certificate) bool {
		if len(chain) == 0 {
			return true
		}
		_, _, ok := t.grantOf(chain)
		return !ok
	})
	slices.SortStableFunc(chains, func(a, b []*x509.Certificate) int { return rank(a) - rank(b) })
	return chains
}

// Check tells whether a credential that was let in still would be: nothing of
// its chain is revoked or has expired.
func (g *Gate) Check(c *Credential) error {
	revoked := *g.revoked.Load()
	switch {
	case revoked.of(c.ID()):
		return notAdmitted{fmt.Errorf("%v: %w", c, ErrRevoked)}
	case g.Clock().Judges(c.Planes).After(c.NotAfter):
		return notAdmitted{fmt.Errorf("%v: %w on %s, or a CA above it", c, ErrExpired, c.NotAfter.UTC().Format(time.RFC3339))}
	}
	for _, id := range c.Chain {
		if revoked.of(id) {
			return notAdmitted{fmt.Errorf("%v: %w with that of a CA above it, serial %v", c, ErrRevoked, id)}
		}
	}
	return nil
}

// Watch follows the registry until the context is done. It calls recheck
// after each change, and once a second so that expiry is noticed, and failed
// when the registry can be read no more; the last one that could stays in force.
// It calls failed with [ErrVanished] too, at each change that leaves out what was
// revoked before.
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
		news, lost := g.takeNews()
		if lost != nil {
			failed(lost)
		}
		if news || n%int(time.Second/watchInterval) == 0 {
			recheck()
		}
	}
}

// refresh reads the registry if its file is another than the one last read.
func (g *Gate) refresh() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	info, err := os.Lstat(g.registry.path)
	if err == nil && g.seen != nil && os.SameFile(info, g.seen) &&
		info.ModTime().Equal(g.seen.ModTime()) && info.Size() == g.seen.Size() {
		return nil
	}
	entries, err := g.registry.Entries()
	if err != nil {
		return fmt.Errorf("registry of credentials: %w", err)
	}
	revoked := make(revocations)
	for _, e := range entries {
		if !e.Revoked.IsZero() {
			revoked[e.ID()] = true
		}
	}
	g.lost = errors.Join(g.lost, g.keep(revoked))
	g.revoked.Store(&revoked)
	g.seen, g.news = info, true
	return nil
}

// keep adds to what a registry has revoked what it had before and has no more,
// which is an error. Nothing that this project has takes a revocation back.
func (g *Gate) keep(revoked revocations) error {
	var lost []string
	for id := range *g.revoked.Load() {
		if !revoked[id] {
			lost = append(lost, id.String())
			revoked[id] = true
		}
	}
	if lost == nil {
		return nil
	}
	slices.Sort(lost)
	const most = 5 // are named
	return fmt.Errorf("%s: %d %w, such as serial %s; they stay in force until this server ends: before it is started again, restore the file from a copy, or revoke them once more",
		g.registry.path, len(lost), ErrVanished, strings.Join(lost[:min(most, len(lost))], ", "))
}

// takeNews tells once that the registry was read again, and what it lacked.
func (g *Gate) takeNews() (news bool, lost error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	news, lost = g.news, g.lost
	g.news, g.lost = false, nil
	return news, lost
}
