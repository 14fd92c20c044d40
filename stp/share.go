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

// shares are what the credentials have.
type shares struct {
	limits Limits

	mu       sync.Mutex
	of       map[holder]*share
	sessions int
	bytes    int
	queues
}

// share is what one credential has.
type share struct {
	holder
	sessions int
	bytes    int
	ses      int
	ended    time.Time // when one of its sessions was the last to end

	line list.List     // of *applicant, oldest first
	turn *list.Element // in queues.turns
}

func newShares(l Limits) *shares {
	return &shares{limits: l, of: make(map[holder]*share), queues: newQueues(l)}
}

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
	a := s.join(sh)
	if a == nil {
		s.forget(sh)
		s.mu.Unlock()
		return nil, full
	}
	s.mu.Unlock()
	s.await(ctx, a, out)

	s.mu.Lock()
	defer s.mu.Unlock()
	if a.let { // it may have been so at the last moment
		return sh, nil
	}
	s.part(a)
	s.forget(sh)
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
	s.settle(sh)
	s.letIn()
	s.forget(sh)
}

// forget drops the share of a credential that has nothing and waits for nothing.
// It may have been forgotten before, and another have come in its place.
func (s *shares) forget(sh *share) {
	if sh.sessions == 0 && sh.line.Len() == 0 && s.of[sh.holder] == sh {
		delete(s.of, sh.holder)
	}
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
