package grid

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/cloud-of-se/tses/drivers"
)

// offTimeout bounds the powering off of one SE. The context of the session
// that ends cannot: it may be why the session ends.
const offTimeout = 10 * time.Second

// Session owns SEs. A door makes one for each of its users' sessions and
// closes it at the end. Its methods may be called at the same time; calls to
// one SE wait for each other.
type Session struct {
	grid     *Grid
	name     string
	identity string // of the credential

	mu     sync.Mutex
	owned  map[*slot]struct{}
	lost   map[string]string // SEIDs that were removed while they were owned, to the canonical one
	taken  map[*slot]string  // SEs that were freed while they were owned, and who did it
	closed bool
}

// NewSession returns a session that others see under name: who holds an SE.
func (g *Grid) NewSession(name string) *Session { return g.NewSessionAs(name, name) }

// NewSessionAs is NewSession for a credential that is known by more than its
// name: two sessions of one identity are of one user.
func (g *Grid) NewSessionAs(name, identity string) *Session {
	return &Session{grid: g, name: name, identity: identity, owned: make(map[*slot]struct{}), lost: make(map[string]string), taken: make(map[*slot]string)}
}

// Count is how many SEs the session owns.
func (s *Session) Count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.owned)
}

// Owned are the SEIDs of the SEs that the session owns, in the order of
// [Grid.SEIDs].
func (s *Session) Owned() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	seids := make([]string, 0, len(s.owned))
	for sl := range s.owned {
		seids = append(seids, sl.seid)
	}
	slices.SortFunc(seids, compareSEIDs)
	return seids
}

// ErrClosed says that the session has ended.
var ErrClosed = errors.New("the session has ended")

// PowerOn makes the SE this session's, powers it on and returns its answer to
// reset. already tells that it was on: nothing was done and atr is that of the
// last reset. It fails with [ErrUnknown], an [*InUseError], or the driver's
// error; then the SE stays nobody's. One of this session that a call has found
// removed is not on, and stays this session's whatever comes of it.
func (s *Session) PowerOn(ctx context.Context, seid string) (atr []byte, already bool, err error) {
	sl, ok := s.grid.lookup(seid)
	if _, lost := s.Lost(seid); lost && !ok {
		return nil, false, fmt.Errorf("%s: power on: %w: %w", seid, drivers.ErrNoCard, drivers.ErrRemoved)
	}
	if !ok {
		return nil, false, unknown(seid)
	}
	// Another's SE is refused at once, one that is on already needs no call.
	if atr, err = sl.peek(s); atr != nil || err != nil {
		return atr, atr != nil, err
	}
	// The SE becomes this session's only when its turn has come: who gives up
	// waiting has nothing to give back.
	err = sl.turn(ctx, "power on", func() (err error) {
		had := sl.isOf(s)
		if atr, err = sl.claim(s); atr != nil || err != nil {
			already = atr != nil
			return err
		}
		s.found(seid)
		s.forgive(sl)
		if atr, err = sl.se.PowerOn(ctx); err != nil {
			err = fmt.Errorf("%s: power on: %w", sl.seid, err)
			if had {
				return err
			}
			return errors.Join(err, s.powerOff(sl))
		}
		sl.setATR(atr)
		return nil
	})
	if err != nil {
		return nil, false, err
	}
	return atr, already, nil
}

// Reset resets an SE of this session and returns its answer to reset. It fails
// with [ErrUnknown], [drivers.ErrPoweredOff], an [*InUseError], or the
// driver's error; the SE stays this session's.
func (s *Session) Reset(ctx context.Context, seid string, kind drivers.ResetKind) (atr []byte, err error) {
	sl, err := s.own(seid)
	if err != nil {
		return nil, err
	}
	err = sl.call(ctx, s, "reset", func() (err error) {
		if atr, err = sl.se.Reset(ctx, kind); err == nil {
			sl.setATR(atr)
		}
		return err
	})
	return atr, err
}

// Transmit sends one command APDU to an SE of this session and returns the
// response APDU. Errors are those of [Session.Reset]; as the driver's do, they
// match [drivers.ErrOutcomeUnknown] where the command may have been executed.
func (s *Session) Transmit(ctx context.Context, seid string, command []byte) (response []byte, err error) {
	at, ok := s.Find(seid)
	if !ok {
		return nil, unknown(seid)
	}
	return s.TransmitTo(ctx, at, command)
}

// Place is where a SEID led at a moment.
type Place struct {
	SEID string // that the SE was added under

	lost bool
	slot *slot
}

// Find looks a SEID up for a command that follows at once. False says that there
// is none, and that the session had none when it was removed.
func (s *Session) Find(seid string) (Place, bool) {
	canonical, lost := s.Lost(seid)
	if sl, ok := s.grid.lookup(seid); ok {
		return Place{sl.seid, lost, sl}, true
	}
	return Place{canonical, lost, nil}, lost
}

// TransmitTo is [Session.Transmit] for a SEID that was looked up.
func (s *Session) TransmitTo(ctx context.Context, at Place, command []byte) (response []byte, err error) {
	if at.lost || at.slot == nil {
		return nil, removed(at.SEID)
	}
	sl := at.slot
	if len(sl.calls) > 0 { // another's SE is refused at once, not behind its call
		if err := sl.ownedByLocked(s); err != nil {
			return nil, s.whyTaken(sl, err)
		}
	}
	err = sl.call(ctx, s, "transmit", func() (err error) {
		sl.keep(s)
		response, err = sl.se.Transmit(ctx, command)
		return err
	})
	return response, err
}

// PowerOff powers an SE of this session off and gives it free. An SE that is
// off already is left so. It fails with [ErrUnknown] or an [*InUseError]; an
// error of the driver is returned too, and the SE is free all the same.
func (s *Session) PowerOff(seid string) error {
	if s.found(seid) {
		return nil
	}
	sl, err := s.own(seid)
	if errors.Is(err, drivers.ErrPoweredOff) {
		if sl, ok := s.grid.lookup(seid); ok {
			s.forgive(sl)
		}
		return nil
	}
	if err != nil {
		return err
	}
	return s.release(sl)
}

// Check tells why an SE cannot be used by this session: [ErrUnknown],
// [drivers.ErrPoweredOff] or an [*InUseError]; nil where it can.
func (s *Session) Check(seid string) error {
	_, err := s.own(seid)
	return err
}

// Close powers off every SE of the session and ends it. A call that is under
// way is waited for: cancel its context first to hurry it. The errors of the
// drivers are joined; the SEs are free whatever they are.
func (s *Session) Close() error {
	s.mu.Lock()
	s.closed = true
	owned := make([]*slot, 0, len(s.owned))
	for sl := range s.owned {
		owned = append(owned, sl)
	}
	s.mu.Unlock()
	errs := make([]error, len(owned))
	var off sync.WaitGroup // one slow chip must not keep the others on
	for i, sl := range owned {
		off.Go(func() { errs[i] = s.release(sl) })
	}
	off.Wait()
	return errors.Join(errs...)
}

// own finds an SE that this session has powered on.
func (s *Session) own(seid string) (*slot, error) {
	if _, lost := s.Lost(seid); lost {
		return nil, removed(seid)
	}
	sl, ok := s.grid.lookup(seid)
	if !ok {
		return nil, unknown(seid)
	}
	if err := sl.ownedByLocked(s); err != nil {
		return nil, s.whyTaken(sl, err)
	}
	return sl, nil
}

// release powers the SE off, whatever state it is in, and gives it free.
func (s *Session) release(sl *slot) error {
	sl.calls <- struct{}{} // a driver obeys its context: the wait ends
	defer func() { <-sl.calls }()
	if !sl.isOf(s) {
		return nil // released by a call at the same time
	}
	return s.powerOff(sl)
}

// powerOff is release for who has the turn and the SE.
func (s *Session) powerOff(sl *slot) error {
	ctx, cancel := context.WithTimeout(context.Background(), offTimeout)
	defer cancel()
	err := sl.se.PowerOff(ctx)

	s.mu.Lock()
	delete(s.owned, sl)
	s.mu.Unlock()
	sl.mu.Lock()
	sl.owner, sl.atr = nil, nil
	sl.mu.Unlock()
	if err != nil {
		return fmt.Errorf("%s: power off %s: %w", sl.seid, sl.se, err)
	}
	return nil
}

// peek returns the answer to reset of an SE that the session has on, an
// [*InUseError] for another's, and neither for one that is to be powered on.
func (sl *slot) peek(s *Session) (atr []byte, err error) {
	sl.mu.Lock()
	defer sl.mu.Unlock()
	switch {
	case sl.removed:
		return nil, unknown(sl.seid)
	case sl.owner == nil:
		return nil, nil
	case sl.owner == s:
		return slices.Clone(sl.atr), nil
	}
	return nil, sl.inUse(s)
}

// claim makes a free SE the session's. On one that is its own and on already,
// it returns the answer to reset.
func (sl *slot) claim(s *Session) (atr []byte, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	if atr, err = sl.peek(s); atr != nil || err != nil {
		return atr, err
	}
	sl.mu.Lock()
	defer sl.mu.Unlock()
	if sl.removed { // since it was looked at
		return nil, unknown(sl.seid)
	}
	if err := sl.keptFrom(s); err != nil {
		return nil, err
	}
	sl.owner, sl.since = s, time.Now()
	s.owned[sl] = struct{}{}
	return nil, nil
}

// call makes one driver call of the owner, when the ones before it have
// returned.
func (sl *slot) call(ctx context.Context, s *Session, op string, f func() error) error {
	return sl.turn(ctx, op, func() error {
		if err := sl.ownedByLocked(s); err != nil {
			return s.whyTaken(sl, err) // powered off while this call waited
		}
		if err := f(); err != nil {
			if errors.Is(err, drivers.ErrRemoved) {
				sl.clearATR() // a power on is to be one, when it is back
			}
			return fmt.Errorf("%s: %s: %w", sl.seid, op, err)
		}
		return nil
	})
}

// turn runs f when no other call on the SE is under way, unless the context is
// done before.
func (sl *slot) turn(ctx context.Context, op string, f func() error) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s: %s: %w", sl.seid, op, err)
	}
	select {
	case sl.calls <- struct{}{}: // at once, as a rule
	default:
		select {
		case sl.calls <- struct{}{}:
		case <-ctx.Done():
			return fmt.Errorf("%s: %s: waiting for another call: %w", sl.seid, op, ctx.Err())
		}
	}
	defer func() { <-sl.calls }()
	return f()
}

func (sl *slot) ownedByLocked(s *Session) error {
	sl.mu.Lock()
	defer sl.mu.Unlock()
	return sl.ownedBy(s)
}

func (sl *slot) ownedBy(s *Session) error {
	switch {
	case sl.removed && (sl.owner == s || sl.owner == nil):
		return removed(sl.seid)
	case sl.owner == s:
		return nil
	case sl.owner == nil:
		return fmt.Errorf("%s: %w", sl.seid, drivers.ErrPoweredOff)
	}
	return sl.inUse(s)
}

func (sl *slot) inUse(s *Session) error {
	return &InUseError{SEID: sl.seid, Holder: sl.owner.name, Since: sl.since, Own: sl.owner.identity == s.identity}
}

func (sl *slot) setATR(atr []byte) {
	sl.mu.Lock()
	sl.atr = append([]byte{}, atr...) // never nil, which would say "off"
	sl.mu.Unlock()
}

// clearATR says that the SE has no power, whoever owns it.
func (sl *slot) clearATR() {
	sl.mu.Lock()
	sl.atr = nil
	sl.mu.Unlock()
}

func unknown(seid string) error { return fmt.Errorf("%w: %.64q", ErrUnknown, seid) }
