package stp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/cloud-of-se/tses/access"
	"github.com/cloud-of-se/tses/apdu"
	"github.com/cloud-of-se/tses/drivers"
	"github.com/cloud-of-se/tses/grid"
)

// Session is what one client may do with the secure elements of the TSES. It
// is used by one goroutine at a time.
//
// An SE that the credential may not see does not exist for it: every method
// fails with [grid.ErrUnknown] as for a SEID that nobody has.
type Session struct {
	cred   *access.Credential
	grid   *grid.Grid
	ses    *grid.Session
	guards map[string]*access.Guard // by canonical SEID, of the SEs powered on
	log    *slog.Logger

	part      portion // of the credential's share
	noteShare func(error)
	recount   func() // the SEs of all sessions of the share
}

// NewSession returns a session for a credential that was let in. Close ends it.
func NewSession(cred *access.Credential, g *grid.Grid, log *slog.Logger) *Session {
	return &Session{cred: cred, grid: g, ses: g.NewSessionAs(cred.Name, cred.Issuer+"/"+cred.Name), guards: make(map[string]*access.Guard), log: log}
}

// Credential is the one that was let in.
func (s *Session) Credential() *access.Credential { return s.cred }

// Log is where to write what happens in the session, with whose it is.
func (s *Session) Log() *slog.Logger { return s.log }

// List is the SEIDs that exist for the credential, in the grid's order.
func (s *Session) List() []string {
	var seen []string
	for _, seid := range s.grid.SEIDs() {
		if s.cred.MaySee(seid) {
			seen = append(seen, seid)
		}
	}
	return seen
}

// SE is an SE that exists for the credential, found by one of its SEIDs for a
// command that follows at once.
type SE struct {
	asked string
	at    grid.Place
}

// Find looks a SEID up.
func (s *Session) Find(asked string) (SE, error) {
	at, ok := s.ses.Find(asked) // one that was removed while it was this session's, too
	if !ok || !s.cred.MaySee(asked) {
		return SE{}, fmt.Errorf("%w: %.64q", grid.ErrUnknown, asked)
	}
	return SE{asked, at}, nil
}

func (s *Session) canonical(asked string) (string, error) {
	se, err := s.Find(asked)
	return se.at.SEID, err
}

// Hold tells how many bytes of buffers the session is about to have. What is
// more than [FreeBytes] counts against the share of its credential; a
// [*ShareError] says that there is not so much, and what it had before stays. A
// door asks before it makes a buffer larger.
func (s *Session) Hold(bytes int) error { return s.told(s.part.hold(bytes)) }

// told tells the log of an error that is a share's.
func (s *Session) told(err error) error {
	if err != nil && s.noteShare != nil {
		s.noteShare(err)
	}
	return err
}

// holdAnother asks for the place of one SE more. Sessions that have lost one to
// somebody else may not know it yet.
func (s *Session) holdAnother() error {
	err := s.part.holdSEs(s.ses.Count() + 1)
	if err != nil && s.recount != nil {
		s.recount()
		err = s.part.holdSEs(s.ses.Count() + 1)
	}
	return s.told(err)
}

// countSEs makes the share agree with how many SEs the session has.
func (s *Session) countSEs() {
	// It is not more than was asked for, and less is always to be had.
	_ = s.part.holdSEs(s.ses.Count())
}

// PowerOn is [grid.Session.PowerOn], as far as the share of the credential goes.
// A [*ShareError] says that it does not.
func (s *Session) PowerOn(ctx context.Context, asked string) (atr []byte, already bool, err error) {
	seid, err := s.canonical(asked)
	if err != nil {
		return nil, false, err
	}
	if s.guards[seid] == nil {
		if err := s.holdAnother(); err != nil {
			return nil, false, err
		}
	}
	defer s.countSEs()
	atr, already, err = s.ses.PowerOn(ctx, seid)
	if err == nil && !already {
		s.guards[seid] = access.NewGuard(s.cred.Planes)
		s.log.Info("power on", "seid", seid)
	}
	return atr, already, s.shown(asked, seid, err)
}

// PowerOff is [grid.Session.PowerOff].
func (s *Session) PowerOff(asked string) error {
	seid, err := s.canonical(asked)
	if err != nil {
		return err
	}
	defer s.countSEs()
	if err = s.ses.PowerOff(seid); err == nil && s.guards[seid] != nil {
		s.log.Info("power off", "seid", seid)
	}
	if inUse := (*grid.InUseError)(nil); !errors.As(err, &inUse) {
		delete(s.guards, seid)
	}
	return s.shown(asked, seid, err)
}

// Reset is [grid.Session.Reset].
func (s *Session) Reset(ctx context.Context, asked string, kind drivers.ResetKind) (atr []byte, err error) {
	seid, err := s.canonical(asked)
	if err != nil {
		return nil, err
	}
	atr, err = s.ses.Reset(ctx, seid, kind)
	if guard := s.guards[seid]; guard != nil && err == nil {
		guard.Reset()
	} else if guard != nil {
		guard.NoteLost(apdu.Command{}) // it may have been reset, or not
	}
	return atr, s.shown(asked, seid, err)
}

// Transmit sends one command, which wire holds as it is to reach the SE, if
// the credential may send it; else it fails with an [*access.Refusal]. An
// answer that is not a response APDU is [drivers.ErrProtocol]. Other errors are
// those of [grid.Session.Transmit].
func (s *Session) Transmit(ctx context.Context, asked string, c apdu.Command, wire []byte) (apdu.Response, error) {
	se, err := s.Find(asked)
	if err != nil {
		return apdu.Response{}, err
	}
	return s.TransmitTo(ctx, se, c, wire)
}

// TransmitTo is [Session.Transmit] for an SE that was found.
func (s *Session) TransmitTo(ctx context.Context, se SE, c apdu.Command, wire []byte) (apdu.Response, error) {
	seid := se.at.SEID
	guard := s.guards[seid]
	if guard == nil { // off, or another's: the grid says which
		return apdu.Response{}, s.shown(se.asked, seid, s.ses.Check(seid))
	}
	if err := guard.Check(c); err != nil {
		s.log.Warn("refused", "seid", seid, "err", err)
		return apdu.Response{}, err
	}
	answer, err := s.ses.TransmitTo(ctx, se.at, wire)
	if err != nil {
		guard.NoteLost(c)
		return apdu.Response{}, s.shown(se.asked, seid, err)
	}
	r, err := apdu.ParseResponse(answer)
	if err != nil {
		guard.NoteLost(c)
		return apdu.Response{}, fmt.Errorf("%s: %w: %w: %w", se.asked, drivers.ErrProtocol, drivers.ErrOutcomeUnknown, err)
	}
	guard.Note(c, r)
	return r, nil
}

// Close powers off every SE of the session.
func (s *Session) Close() error { return s.ses.Close() }
