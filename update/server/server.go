// Package server takes updates on the box: the server's side of the protocol of
// package update, behind the same TLS and the same gate as RACS.
package server

import (
	"bufio"
	"cmp"
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/cloud-of-se/tses/access"
	"github.com/cloud-of-se/tses/gokrazy/slots"
	"github.com/cloud-of-se/tses/stp"
	"github.com/cloud-of-se/tses/update"
)

// Server is a [stp.Handler] for [update.Protocol]. Its fields are set before
// the first client comes and not changed then.
type Server struct {
	// Owner is the key of the owner's CA.
	Owner *ecdsa.PublicKey
	// Running is what runs. Its box is the one that updates have to be for.
	Running update.Running
	// Now is what the clock says, zero while it is not set. nil: never set.
	Now func() time.Time
	// Start is another after each start of the box.
	Start string
	// Slots tells where things are now. It is asked for every client.
	Slots func() (Slots, error)
	// Prepare is called before anything is written, to write down what the
	// update has to do as well as what runs now. nil: nothing.
	Prepare func(context.Context) error
	// Limit bounds an update from its first byte to its last. Zero is 20 min.
	Limit time.Duration

	busy sync.Mutex // an update is under way
}

// Slots is how the card stands.
type Slots struct {
	Running slots.Slot
	Trial   bool   // what runs is not selected yet
	Other   string // the device of the other slot
}

// The reasons for which an update is refused that have nothing to do with it.
var (
	errPlane = errors.New("updates need a credential of the administrative plane; racs doctor shows which one this is")
	errBusy  = errors.New("another update is under way; wait until it has ended")
	errTrial = errors.New("the box runs an update on trial; wait until it is confirmed or has been taken back")
	errArmed = errors.New("an update waits for the restart of the box already; wait for it")
	errLimit = errors.New("the update takes too long; check the network")
)

const defaultLimit = 20 * time.Minute

// Serve serves one client.
func (s *Server) Serve(ctx context.Context, c *stp.Conn, session *stp.Session) error {
	if session.Credential().Planes&access.Administrative == 0 {
		return errors.Join(errPlane, no(c, errPlane))
	}
	if err := c.AwaitInput(); err != nil {
		return err
	}
	in := bufio.NewReaderSize(c, update.MaxLine+1)
	word, rest, err := update.ReadLine(in)
	if err != nil {
		return ended(c, err)
	}
	switch word {
	case update.WordStatus:
		err = s.status(c, update.WordStatus)
	case update.WordPut:
		var asked update.Asked
		if err = update.Decode(rest, &asked); err == nil {
			err = s.put(ctx, c, in, asked, session)
		}
	default:
		err = fmt.Errorf("%w: no request %.20q", update.ErrProtocol, word)
	}
	if err != nil {
		session.Log().Warn("update", "err", err)
		return errors.Join(err, no(c, err))
	}
	return nil
}

// Refuse tells a client that is not let in why.
func (s *Server) Refuse(_ context.Context, c *stp.Conn, why error) error { return no(c, why) }

// ended is nil for a client that says nothing and goes.
func ended(c *stp.Conn, err error) error {
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case c.Ended() != nil:
		return c.Ended()
	case errors.Is(err, update.ErrProtocol):
		return errors.Join(err, no(c, err))
	}
	return err
}

// no tells the client why.
func no(c *stp.Conn, why error) error {
	return update.WriteLine(c, update.WordNo, why.Error())
}

// status tells how the box stands.
func (s *Server) status(c *stp.Conn, word string) error {
	at, err := s.Slots()
	if err != nil {
		return err
	}
	told := update.Status{
		Box: s.Running.Box, Start: s.Start, Slot: at.Running.String(), Trial: at.Trial,
		Running: update.System{Version: s.Running.Version, Built: s.Running.Built},
	}
	if !at.Trial { // else the other slot holds what the box goes back to
		if told.Last, err = s.last(at); err != nil {
			return err
		}
	}
	return update.WriteLine(c, word, told)
}

// last is the update in the other slot.
func (s *Server) last(at Slots) (*update.Attempt, error) {
	p, f, err := slots.Open(at.Other)
	if err != nil {
		return nil, err
	}
	defer f.Close() // nothing was written
	r, err := slots.ReadRecord(p)
	if errors.Is(err, slots.ErrNoRecord) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	h, err := r.Header(s.Owner)
	if err != nil { // not of this owner, and never to be started
		return nil, nil
	}
	return &update.Attempt{System: update.System{Version: h.Version, Built: h.Built}, State: string(r.State)}, nil
}

// put takes an update.
func (s *Server) put(ctx context.Context, c *stp.Conn, in *bufio.Reader, asked update.Asked, session *stp.Session) (err error) {
	if !s.busy.TryLock() {
		return errBusy
	}
	defer s.busy.Unlock()
	ctx, cancel := context.WithTimeoutCause(ctx, s.limit(), errLimit)
	defer cancel()
	// A connection that refuses a deadline is closed already.
	stop := context.AfterFunc(ctx, func() { _ = c.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	body := &paced{ctx: ctx, conn: c, in: in}
	h, head, err := update.ReadHead(body, s.Owner)
	if err != nil {
		return err
	}
	log := session.Log().With("update", h.String(), "older", asked.Older, "boot", asked.Boot)
	p, done, err := s.admit(h, asked)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	if s.Prepare != nil {
		if err := s.Prepare(ctx); err != nil {
			return fmt.Errorf("prepare the update: %w", err)
		}
	}
	if err := update.WriteLine(c, update.WordGo, nil); err != nil {
		return err
	}
	log.Info("update begins")
	told := &teller{conn: c}
	if err := slots.Install(ctx, p, h, head, body, told.tell); err != nil {
		return err
	}
	log.Info("update is written and will be tried at the next start")
	return s.status(c, update.WordDone)
}

func (s *Server) limit() time.Duration {
	if s.Limit > 0 {
		return s.Limit
	}
	return defaultLimit
}

// admit tells whether an update may come, and opens the slot for it.
func (s *Server) admit(h *update.Header, asked update.Asked) (*slots.Partition, func() error, error) {
	running := s.Running
	if s.Now != nil {
		running.Now = s.Now()
	}
	if err := h.Allow(running, asked); err != nil {
		return nil, nil, err
	}
	at, err := s.Slots()
	if err != nil {
		return nil, nil, err
	}
	if at.Trial {
		return nil, nil, errTrial
	}
	p, f, err := slots.Open(at.Other)
	if err != nil {
		return nil, nil, err
	}
	if r, err := slots.ReadRecord(p); err == nil && r.State == slots.Armed {
		return nil, nil, errors.Join(errArmed, f.Close())
	}
	if err := slots.Fits(p, h); err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return p, f.Close, nil
}

// paced reads a bundle: each piece of it has the idle time to come.
type paced struct {
	ctx  context.Context
	conn *stp.Conn
	in   *bufio.Reader
}

func (r *paced) Read(b []byte) (int, error) {
	if err := r.conn.AwaitInput(); err != nil {
		return 0, err
	}
	// Behind it: what ends the context sets a deadline too, and is the last then.
	if err := context.Cause(r.ctx); err != nil {
		return 0, err
	}
	n, err := r.in.Read(b)
	if err != nil {
		err = cmp.Or(r.conn.Ended(), context.Cause(r.ctx), err)
	}
	return n, err
}

// teller tells the client how far it is, now and then.
type teller struct {
	conn *stp.Conn
	step slots.Step
	last time.Time
}

func (t *teller) tell(step slots.Step, done int64) {
	now := time.Now()
	if step == t.step && now.Sub(t.last) < time.Second {
		return
	}
	t.step, t.last = step, now
	// A client that has gone is noticed where its bytes are missing, and one
	// that has sent them all may go: the update stands.
	_ = update.WriteLine(t.conn, update.WordAt, update.Progress{Step: string(step), Bytes: done})
}
