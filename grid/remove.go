package grid

import (
	"context"
	"fmt"
	"slices"

	"github.com/cloud-of-se/tses/drivers"
)

// Remove takes an SE that has gone, and its aliases, out of the inventory. Its
// SEID is free at once, and may be another SE's when Remove returns. Who owns
// the SE loses it: that session's calls fail with [drivers.ErrRemoved] until it
// powers the SEID on or off. A call that is under way ends first, and then the
// power goes off; where that takes longer than ctx allows, it goes off at the
// end of the owner's session, and the context's error is returned.
func (g *Grid) Remove(ctx context.Context, seid string) error {
	sl, ok := g.lookup(seid)
	if !ok {
		return unknown(seid)
	}
	names := g.unlist(sl)
	if owner := sl.remove(); owner != nil {
		return owner.lose(ctx, sl, names)
	}
	return nil
}

// unlist takes every name of an SE out of the inventory.
func (g *Grid) unlist(sl *slot) (names []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.seids = slices.DeleteFunc(g.seids, func(seid string) bool {
		if g.slots[seid] != sl {
			return false
		}
		names = append(names, seid)
		delete(g.slots, seid)
		return true
	})
	return names
}

// remove keeps the SE from being used, and returns who has it.
func (sl *slot) remove() (owner *Session) {
	sl.mu.Lock()
	defer sl.mu.Unlock()
	sl.removed = true
	return sl.owner
}

// lose powers off an SE of the session that was removed, and remembers that it
// had it.
func (s *Session) lose(ctx context.Context, sl *slot, names []string) error {
	s.mu.Lock()
	for _, name := range names {
		s.lost[name] = sl.seid
	}
	s.mu.Unlock()
	return sl.turn(ctx, "remove", func() error {
		if !sl.isOf(s) {
			return nil // the session has given it back meanwhile
		}
		return s.powerOff(sl)
	})
}

// Lost tells whether the session had this SE, or the one that this was an alias
// of, when it was removed, and has neither powered it on nor off since. Then
// canonical is the SEID that it was added under.
func (s *Session) Lost(seid string) (canonical string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	canonical, ok = s.lost[seid]
	return canonical, ok
}

// found forgets that an SE was lost, by all of its names.
func (s *Session) found(seid string) (was bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	canonical, was := s.lost[seid]
	for name, c := range s.lost {
		if was && c == canonical {
			delete(s.lost, name)
		}
	}
	return was
}

// isOf tells whether the session owns the SE, removed or not.
func (sl *slot) isOf(s *Session) bool {
	sl.mu.Lock()
	defer sl.mu.Unlock()
	return sl.owner == s
}

func removed(seid string) error {
	return fmt.Errorf("%.64s: %w; power it on when it is back", seid, drivers.ErrRemoved)
}
