package grid

import (
	"fmt"
	"time"

	"github.com/cloud-of-se/tses/drivers"
)

// kept is whose an SE stays that cannot be cleared between two users.
type kept struct {
	identity string
	holder   string
	since    time.Time
	why      error
}

// Share gives the SE to one user after the other although what one of them has
// left may be there for the next; see [drivers.Keeper]. It is for an SE without
// PINs, or whose users trust each other.
func (g *Grid) Share(seid string) error {
	sl, ok := g.lookup(seid)
	if !ok {
		return fmt.Errorf("share: %w", unknown(seid))
	}
	sl.mu.Lock()
	sl.shared, sl.kept = true, nil
	sl.mu.Unlock()
	return nil
}

// keep makes the SE its user's for good, before the first command, where power
// does not clear it.
func (sl *slot) keep(s *Session) {
	keeper, ok := sl.se.(drivers.Keeper)
	if !ok {
		return
	}
	why := keeper.Keeps()
	sl.mu.Lock()
	defer sl.mu.Unlock()
	if why != nil && !sl.shared && sl.kept == nil {
		sl.kept = &kept{identity: s.identity, holder: s.name, since: time.Now(), why: why}
	}
}

// keptFrom tells, with the slot locked, that the SE is another's for good.
func (sl *slot) keptFrom(s *Session) error {
	if k := sl.kept; k != nil && k.identity != s.identity {
		return &InUseError{SEID: sl.seid, Holder: k.holder, Since: k.since, Why: k.why}
	}
	return nil
}
