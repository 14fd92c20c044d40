package grid

import (
	"context"
	"errors"
	"fmt"
)

// ErrFreed says that somebody with the right to has taken an SE from the session
// that owned it, see [Grid.Free].
var ErrFreed = errors.New("the SE was freed")

// Free powers an SE off and takes it from the session that owns it; one that is
// nobody's is left as it is. A call that is under way ends first; where that
// takes longer than ctx allows, nothing is done and the context's error is
// returned. The session learns by whom it lost the SE when it next uses it: the
// error matches [ErrFreed], until it powers the SE on or off. An error of the
// driver is returned, and the SE is free all the same.
func (g *Grid) Free(ctx context.Context, seid, by string) error {
	sl, ok := g.lookup(seid)
	if !ok {
		return unknown(seid)
	}
	owner := sl.owned()
	if owner == nil {
		return nil
	}
	return sl.turn(ctx, "free", func() error {
		if !sl.isOf(owner) {
			return nil // given back meanwhile
		}
		owner.mu.Lock()
		owner.taken[sl] = by
		owner.mu.Unlock()
		return owner.powerOff(sl)
	})
}

// owned is the session that owns the SE, nil for none.
func (sl *slot) owned() *Session {
	sl.mu.Lock()
	defer sl.mu.Unlock()
	return sl.owner
}

// forgive forgets that an SE was taken from the session.
func (s *Session) forgive(sl *slot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.taken, sl)
}

// whyTaken adds to the error of a call for an SE by whom the session lost it.
func (s *Session) whyTaken(sl *slot, err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if by, ok := s.taken[sl]; ok {
		return fmt.Errorf("%w by %.64s: %w; power it on again", ErrFreed, by, err)
	}
	return err
}
