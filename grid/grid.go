// Package grid is the inventory of a TSES: which secure elements there are,
// by SEID, and which session owns each one.
//
// An SE belongs to the [Session] that powered it on until that session powers
// it off or ends; everybody else is told at once who holds it and since when.
// At the end of a session, however it ends, every SE that it owned is powered
// off, so that no PIN state survives into the next one. An SE that power does
// not clear ([drivers.Keeper]) belongs to the credential that first sent it a
// command until the TSES ends, unless it is shared by name ([Grid.Share]).
//
//	g := grid.New()
//	g.Add("sim1", se)
//	s := g.NewSession("alice")
//	defer s.Close()
//	on, err := s.PowerOn(ctx, "sim1")
//	answer, err := s.Transmit(ctx, "sim1", command)
package grid

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cloud-of-se/tses/drivers"
)

// MaxSEID is the length of the longest SEID in bytes. It fits a DNS label, so
// that a SEID can be a host name.
const MaxSEID = 63

// ErrUnknown says that no SE has this SEID.
var ErrUnknown = errors.New("no such SEID")

// InUseError says that an SE belongs to another session.
type InUseError struct {
	SEID   string
	Holder string    // the name of the credential that holds it; "" where that is not told
	Since  time.Time // when it was powered on
	Own    bool      // the holder is another session of the credential that asks
	Why    error     // why it stays the holder's when it is off; nil where it does not
}

// Error says who holds the SE and since when.
func (e *InUseError) Error() string {
	holder := cmp.Or(e.Holder, "another user")
	if e.Why != nil {
		return fmt.Sprintf("%s stays with %s since %s, because it keeps PIN states: %v", e.SEID, holder, e.Since.UTC().Format(time.RFC3339), e.Why)
	}
	if e.Own {
		return fmt.Sprintf("%s is in use by another session of yours (%s) since %s; end it, one whose client is gone ends by itself within 25 s", e.SEID, holder, e.Since.UTC().Format(time.RFC3339))
	}
	return fmt.Sprintf("%s is in use by %s since %s", e.SEID, holder, e.Since.UTC().Format(time.RFC3339))
}

// Grid is the inventory. Its methods may be called at the same time.
type Grid struct {
	mu    sync.RWMutex
	slots map[string]*slot // aliases included
	seids []string         // the keys of slots in their order
}

// slot is one SE and its owner.
type slot struct {
	seid string
	se   drivers.SE

	// calls holds a token while a driver call is under way: drivers take one
	// call at a time, and a waiter must be able to give up.
	calls chan struct{}

	mu      sync.Mutex
	owner   *Session // nil: nobody's, and powered off
	since   time.Time
	atr     []byte // nil: not powered on (yet)
	removed bool   // it is not in the inventory any more
	shared  bool   // by all users, if it keeps states or not
	kept    *kept  // whose it stays; nil: nobody's
}

// New returns an empty inventory.
func New() *Grid { return &Grid{slots: make(map[string]*slot)} }

// Add puts an SE under a SEID of 1 to 63 letters, digits, '.', '_' and '-'.
// The SE must be powered off.
func (g *Grid) Add(seid string, se drivers.SE) error {
	return g.put(seid, &slot{seid: seid, se: se, calls: make(chan struct{}, 1)})
}

// Alias gives the SE under seid a second SEID.
func (g *Grid) Alias(alias, seid string) error {
	s, ok := g.lookup(seid)
	if !ok {
		return fmt.Errorf("alias %q: %w: %q; add the SE first", alias, ErrUnknown, seid)
	}
	return g.put(alias, s)
}

func (g *Grid) put(seid string, s *slot) error {
	if err := CheckSEID(seid); err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, ok := g.slots[seid]; ok {
		return fmt.Errorf("SEID %q is taken by %s; give one of them another name", seid, g.slots[seid].se)
	}
	g.slots[seid] = s
	at, _ := slices.BinarySearchFunc(g.seids, seid, compareSEIDs)
	g.seids = slices.Insert(g.seids, at, seid)
	return nil
}

func (g *Grid) lookup(seid string) (*slot, bool) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	s, ok := g.slots[seid]
	return s, ok
}

// SEIDs lists all SEIDs, aliases included, in an order that does not depend
// on when an SE was added: numbers in them count as numbers, so that sim2
// comes before sim10.
func (g *Grid) SEIDs() []string {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return slices.Clone(g.seids)
}

// Canonical is the SEID that the SE was added under, which differs from seid
// for an alias. False says that there is none.
func (g *Grid) Canonical(seid string) (string, bool) {
	s, ok := g.lookup(seid)
	if !ok {
		return "", false
	}
	return s.seid, true
}

// CheckSEID tells why a string cannot be a SEID.
func CheckSEID(seid string) error {
	if len(seid) == 0 || len(seid) > MaxSEID {
		return fmt.Errorf("SEID %.70q: %d bytes, a SEID has 1 to %d", seid, len(seid), MaxSEID)
	}
	for _, r := range seid {
		if !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-", r) {
			return fmt.Errorf("SEID %q: %q is not a letter, a digit, '.', '_' or '-'", seid, r)
		}
	}
	return nil
}

// compareSEIDs orders strings with the runs of digits in them as numbers.
func compareSEIDs(a, b string) int {
	for a != "" && b != "" {
		da, db := digits(a), digits(b)
		if da == "" || db == "" {
			if a[0] != b[0] {
				return int(a[0]) - int(b[0])
			}
			a, b = a[1:], b[1:]
			continue
		}
		na, nb := strings.TrimLeft(da, "0"), strings.TrimLeft(db, "0")
		if len(na) != len(nb) {
			return len(na) - len(nb)
		}
		if c := strings.Compare(na, nb); c != 0 {
			return c
		}
		if len(da) != len(db) {
			return len(da) - len(db)
		}
		a, b = a[len(da):], b[len(db):]
	}
	return len(a) - len(b)
}

// digits is the run of digits that s begins with.
func digits(s string) string {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return s[:i]
		}
	}
	return s
}
