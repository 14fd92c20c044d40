// Package server speaks the server's side of RACS.
//
// A session reads line by line and executes each command as it arrives; the
// answer to a request goes out when its END, or the first error, is there.
// What is malformed is answered with an error before anything of it reaches a
// secure element, and the stream stays in step: the lines of a failed request
// are skipped up to its END. Memory is bounded by one line, one answer and one
// response APDU.
//
// The answers and limits are those of racs.md's tables, kept in this package's
// testdata as recorded sessions and in the tests as a table of differences to
// them.
package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/cloud-of-se/tses/stp"
	"github.com/cloud-of-se/tses/stp/racs"
)

// DefaultAPDUTime is how long one command may keep an SE busy.
const DefaultAPDUTime = 30 * time.Second

// Server is a stp.Handler for RACS.
type Server struct {
	// APDUTime bounds one command on an SE: POWERON, RESET or APDU with all
	// its rounds; 0 is [DefaultAPDUTime].
	APDUTime time.Duration
}

// Serve speaks RACS with one client until it quits or goes away.
func (s *Server) Serve(ctx context.Context, c *stp.Conn, session *stp.Session) error {
	return s.newPeer(c, session).serve(ctx)
}

// connection is what a session needs of a client's connection.
type connection interface {
	io.ReadWriter
	AwaitInput() error // arms the idle time; an error when no more is taken
	Ended() error      // why no more input is taken
}

func (s *Server) newPeer(c connection, ses *stp.Session) *peer {
	p := &peer{conn: c, ses: ses, lines: lineReader{src: c}, apduTime: s.APDUTime}
	if p.apduTime <= 0 {
		p.apduTime = DefaultAPDUTime
	}
	return p
}

// serve takes line after line until the client quits or the session breaks.
func (p *peer) serve(ctx context.Context) error {
	for {
		line, err := p.read()
		if errors.Is(err, errLongLine) {
			err = p.longLine(line)
		} else if err != nil {
			return p.lost(err)
		} else {
			err = p.take(ctx, line)
		}
		if errors.Is(err, errQuit) {
			return p.flush()
		}
		if err != nil {
			return errors.Join(err, p.flush())
		}
	}
}

// errQuit ends a session as the client asked.
var errQuit = errors.New("QUIT")

// errOutOfStep ends a session whose stream cannot be understood any more.
var errOutOfStep = errors.New("the stream is out of step")

// read returns the next line. Answers go out before it waits.
func (p *peer) read() ([]byte, error) {
	if !p.lines.ready() {
		if err := p.flush(); err != nil {
			return nil, err
		}
	}
	if err := p.conn.AwaitInput(); err != nil {
		return nil, err
	}
	return p.lines.next()
}

// lost ends a session whose client says nothing more. What was executed in an
// unfinished request is answered if the reason is on this side.
func (p *peer) lost(err error) error {
	if ended := p.conn.Ended(); ended != nil {
		err = ended
		if p.state == inRequest && errors.Is(ended, stp.ErrDraining) {
			p.line++ // of the command that did not come
			return p.interrupt(racs.NoVerb, ended)
		}
		return err
	}
	var timeout net.Error
	switch {
	case errors.Is(err, io.EOF) && p.state == between:
		return nil
	case errors.Is(err, io.EOF):
		return fmt.Errorf("the client went away in line %d of a request", p.line)
	case errors.As(err, &timeout) && timeout.Timeout():
		return errors.New("the client was idle for too long")
	}
	return err
}
