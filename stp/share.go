package stp

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cloud-of-se/tses/access"
)

// FreeBytes are the bytes of buffers that every session may have; what it has
// beyond them counts against its credential's share, see [Session.Hold].
const FreeBytes = 16 << 10

// ErrShare is matched by every [*ShareError].
var ErrShare = errors.New("the share is used up")

// ShareError says that a credential has all that it may have, or that all
// clients together have.
type ShareError struct {
	Limit string // its name in the configuration, "credential_sessions"
	Value int    // of the limit
	Whose string // the credential's name; "" for all clients together
}

// Error says what is used up, by whom, and by which key there can be more.
func (e *ShareError) Error() string {
	whose := "all clients together have"
	if e.Whose != "" {
		whose = fmt.Sprintf("the credential %.40q has", e.Whose)
	}
	return fmt.Sprintf("%s what there is, limits.%s = %d: end a session or an SE that is not needed, or ask for more", whose, e.Limit, e.Value)
}

// Is tells that the error is [ErrShare].
func (e *ShareError) Is(target error) bool { return target == ErrShare }

// A session for which there is no place waits while others of the same
// credential come to their end, so that a storm of short ones is served in its
// turn.
const (
	shareStill = 2 * time.Second  // without an end, it is refused
	shareTime  = 30 * time.Second // it is refused in any case
)

// shares are what the credentials have.
type shares struct {
	limits Limits

	mu       sync.Mutex
	of       map[holder]*share
	sessions int
	bytes    int
	waiting  list.List // of *applicant, oldest first
}

// share is what one credential has.
type share struct {
	holder
	sessions int
	bytes    int
	ses      int
	ended    time.Time // when one of its sessions was the last to end
}

// applicant is a session that waits for a place.
type applicant struct {
	share *share
	let   chan struct{} // closed when it has the place
}

func newShares(l Limits) *shares { return &shares{limits: l, of: make(map[holder]*share)} }

// holder is what makes two credentials the same one for its share: a CA's, a
// plane's and a name's. Another CA takes nothing from who has the same name here,
// and what is of the user plane nothing from an administrator.
type holder struct {
	issuer, name, serial string
	administrator        bool
}

func holderOf(c *access.Credential) holder {
	h := holder{issuer: c.Issuer, name: c.Name, administrator: c.Planes&access.Administrative != 0}
	if c.Name == "" {
		h.serial = c.Serial
	}
	return h
}

// enter gives a session of a credential a place, or says by a [*ShareError] that
// there is none. out ends the wait for it.
func (s *shares) enter(ctx context.Context, c *access.Credential, out <-chan struct{}) (*share, error) {
	s.mu.Lock()
	sh := s.of[holderOf(c)]
	if sh == nil {
		sh = &share{holder: holderOf(c)}
		s.of[sh.holder] = sh
	}
	full := s.full(sh)
	if full == nil {
		s.count(sh)
		s.mu.Unlock()
		return sh, nil
	}
	a := &applicant{share: sh, let: make(chan struct{})}
	place := s.waiting.PushBack(a)
	s.mu.Unlock()
	if s.await(ctx, a, out) {
		return sh, nil
	}
	return s.giveUp(a, place, full)
}

// await waits for the place of a session that has ended.
func (s *shares) await(ctx context.Context, a *applicant, out <-chan struct{}) (let bool) {
	tick := time.NewTicker(shareStill)
	defer tick.Stop()
	for begun := time.Now(); time.Since(begun) < shareTime; {
		select {
		case <-a.let:
			return true
		case <-out:
			return false
		case <-ctx.Done():
			return false
		case now := <-tick.C:
			s.mu.Lock()
			still := now.Sub(a.share.ended) > shareStill
			s.mu.Unlock()
			if still {
				return false
			}
		}
	}
	return false
}

// giveUp ends the wait; the place may have come at the last moment.
func (s *shares) giveUp(a *applicant, place *list.Element, full error) (*share, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-a.let:
		return a.share, nil
	default:
	}
	s.waiting.Remove(place)
	s.forget(a.share)
	return nil, full
}

// full tells why a credential cannot have another session now.
func (s *shares) full(sh *share) error {
	reserve, _ := s.limits.reserves()
	if sh.administrator {
		reserve = 0
	}
	switch {
	case sh.sessions >= s.limits.CredentialSessions:
		return &ShareError{Limit: limitCredentialSessions, Value: s.limits.CredentialSessions, Whose: sh.name}
	case s.sessions >= s.limits.Sessions-reserve:
		return &ShareError{Limit: limitSessions, Value: s.limits.Sessions}
	}
	return nil
}

func (s *shares) count(sh *share) {
	sh.sessions++
	s.sessions++
}

// leave gives the place of a session back, and what it held.
func (s *shares) leave(p *portion) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sh := p.share
	sh.sessions--
	sh.bytes -= p.bytes
	sh.ses -= p.ses
	sh.ended = time.Now()
	s.sessions--
	s.bytes -= p.bytes
	for at := s.waiting.Front(); at != nil; at = at.Next() {
		if a := at.Value.(*applicant); s.full(a.share) == nil {
			s.waiting.Remove(at)
			s.count(a.share)
			close(a.let)
			break
		}
	}
	s.forget(sh)
}

// forget drops the share of a credential that has nothing and waits for nothing.
func (s *shares) forget(sh *share) {
	if sh.sessions > 0 {
		return
	}
	for at := s.waiting.Front(); at != nil; at = at.Next() {
		if at.Value.(*applicant).share == sh {
			return
		}
	}
	delete(s.of, sh.holder)
}

// hold changes how many bytes a credential buffers.
func (s *shares) hold(sh *share, more int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, reserve := s.limits.reserves()
	if sh.administrator {
		reserve = 0
	}
	switch {
	case more <= 0:
	case sh.bytes+more > s.limits.CredentialBytes:
		return &ShareError{Limit: limitCredentialBytes, Value: s.limits.CredentialBytes, Whose: sh.name}
	case s.bytes+more > s.limits.Bytes-reserve:
		return &ShareError{Limit: limitBytes, Value: s.limits.Bytes}
	}
	sh.bytes += more
	s.bytes += more
	return nil
}

// holdSEs changes how many SEs a session holds.
func (s *shares) holdSEs(p *portion, n int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	sh, more := p.share, n-p.ses
	if more > 0 && sh.ses+more > s.limits.CredentialSEs {
		return &ShareError{Limit: limitCredentialSEs, Value: s.limits.CredentialSEs, Whose: sh.name}
	}
	sh.ses += more
	p.ses = n
	return nil
}

// portion is the part of a share that one session has. The zero value has no
// bounds: it is of a session without a server.
type portion struct {
	shares *shares
	share  *share
	bytes  int
	ses    int // guarded by shares.mu
}

func (p *portion) hold(bytes int) error {
	bytes = max(0, bytes-FreeBytes)
	if p.shares == nil || bytes == p.bytes {
		return nil
	}
	if err := p.shares.hold(p.share, bytes-p.bytes); err != nil {
		return err
	}
	p.bytes = bytes
	return nil
}

func (p *portion) holdSEs(n int) error {
	if p.shares == nil {
		return nil
	}
	return p.shares.holdSEs(p, n)
}

func (p *portion) leave() {
	if p.shares != nil {
		p.shares.leave(p)
	}
}
