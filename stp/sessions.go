package stp

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cloud-of-se/tses/access"
	"github.com/cloud-of-se/tses/grid"
)

// living is a session that a server runs.
type living struct {
	id       uint64
	since    time.Time
	conn     *Conn
	stopWork context.CancelCauseFunc // ends the command that is under way
	cut      context.CancelCauseFunc // ends the connection at once
}

// SessionInfo is what can be told of a session that is running.
type SessionInfo struct {
	ID     uint64 // counted from 1 since the start of the server, never used again
	Name   string // of the credential
	Serial string
	Planes access.Plane
	From   string // the client's address
	Since  time.Time
	SEs    []string // that it has powered on, by their canonical SEIDs
}

// Sessions lists what is running, the oldest first.
func (s *Server) Sessions() []SessionInfo {
	s.mu.Lock()
	defer s.mu.Unlock()
	infos := make([]SessionInfo, 0, len(s.live))
	for session, l := range s.live {
		infos = append(infos, SessionInfo{
			ID: l.id, Name: session.cred.Name, Serial: session.cred.Serial, Planes: session.cred.Planes,
			From: l.conn.RemoteAddr().String(), Since: l.since, SEs: session.ses.Owned(),
		})
	}
	slices.SortFunc(infos, func(a, b SessionInfo) int { return int(a.ID) - int(b.ID) })
	return infos
}

var (
	// ErrEnded is why a session ends that [Server.EndSession] has ended.
	ErrEnded = errors.New("the session was ended")
	// ErrNoSession says that there is no session with a number.
	ErrNoSession = errors.New("no such session")
)

// endTime is how long a session that is ended has to tell its client so.
const endTime = 2 * time.Second

// EndSession ends a session. The command that is under way is given up, and the
// client is told, in its protocol's words, by whom the session was ended. An
// error matches [ErrNoSession].
func (s *Server) EndSession(id uint64, by string) error {
	session, l := s.find(id)
	if session == nil {
		return fmt.Errorf("%w: %d", ErrNoSession, id)
	}
	why := fmt.Errorf("%w by %.64s", ErrEnded, by)
	l.conn.end(why)
	l.stopWork(why)
	time.AfterFunc(endTime, func() { l.cut(why) }) // of no effect when it has ended
	session.log.Warn("session is ended", "by", by)
	return nil
}

func (s *Server) find(id uint64) (*Session, *living) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for session, l := range s.live {
		if l.id == id {
			return session, l
		}
	}
	return nil, nil
}

// recount makes the share of a session agree with how many SEs its sessions have.
func (s *Server) recount(session *Session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for other := range s.live {
		if other.part.share == session.part.share {
			other.countSEs()
		}
	}
}

// FreeSE is [grid.Grid.Free], written down: it powers an SE off and takes it from
// the session that has it, which learns of it when it next uses the SE.
func (s *Server) FreeSE(ctx context.Context, seid, by string) error {
	canonical, ok := s.Grid.Canonical(seid)
	if !ok {
		return fmt.Errorf("free: %w: %.64q", grid.ErrUnknown, seid)
	}
	s.Log.Warn("SE is freed", "seid", canonical, "by", by)
	return s.Grid.Free(ctx, canonical, by)
}
