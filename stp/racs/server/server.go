// Package server speaks the server's side of RACS.
//
// A session reads line by line and executes each command as it arrives; the
// answer to a request goes out when its END, or the first error, is there.
// What is malformed is answered with an error before anything of it reaches a
// secure element, and the stream stays in step: the lines of a failed request
// are skipped up to its END. Memory is bounded by one line, one answer and one
// response APDU, and by the share that the session's credential has of all that
// ([stp.Session.Hold]): what there is no room for is answered with -9yz, and an
// APDU is not executed whose answer could not be kept.
//
// # Answers
//
// A status line is a sign, a class ([racs.Class]), a code ([racs.Verb]) and the
// line of the request, counted from 1 without blank lines:
//
//	+001 000           an empty request
//	+002 +003          GET-VERSION, SET-VERSION 0.3; another version -403, none -503
//	+004 SEID ...      LIST: the SEIDs that exist for the credential
//	+005               RESET SEID [WARM]
//	+006 HEX           APDU SEID HEX [CONTINUE=SW] [RAW] [MORE=SW1] [FETCH=CLAINSP1P2]
//	-006               the status word is not the one that CONTINUE names
//	+007 +008 +009     SHUTDOWN SEID, POWERON SEID, ECHO words
//	+012               QUIT: the connection closes after this request's answer
//	-100               unknown command; the connection stays
//	-210 -211          SEN, GET-SEN: not implemented
//	-300 -301 -302     a line outside of a request, BEGIN inside of one, a name longer
//	                   than 64 bytes; the connection closes after the answer
//	-3yz               the SE is powered off
//	-4yz               no such SEID (for this credential), an unknown option
//	-5yz               a parameter is missing or malformed, control bytes, a line too long
//	-6yz               the credential may not send this; nothing reached the SE
//	-7yz               in use by another session, and whose, unless the credential may
//	                   see the SE by an alias alone
//	-8yz               the SE is not there, does not answer, or breaks its protocol
//	-9yz               over the limit of commands or of the answer, or of a share of the
//	                   credential; or shutting down
//	-901 000           the session is not let in for such a share, or was ended by an
//	                   administrator; the connection closes
//
// APPEND as the last word of a command keeps its result in the answer; that of
// the last command is always there. The first error ends the request: the
// results that were kept go out with it, and the lines up to END are skipped. A
// command starts only while its largest possible result still fits into the
// answer, so that no APDU that was executed loses its answer.
//
// An answer 6CXX to a command that only asks for data is obeyed: the command is
// sent again with that length, and the client gets the data. With RAW the SE's
// answer goes out as it came, which a client needs that plays T=0 itself; it
// excludes MORE and FETCH.
//
// Where the draft author's own server answers otherwise, package racstest has
// the recording and the reason.
package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/cloud-of-se/tses/drivers"
	"github.com/cloud-of-se/tses/stp"
	"github.com/cloud-of-se/tses/stp/racs"
)

// DefaultAPDUTime is how long one command may keep an SE busy.
const DefaultAPDUTime = 30 * time.Second

// Server is a stp.Handler for RACS.
type Server struct {
	// APDUTime bounds one command on an SE: POWERON, RESET or APDU with all
	// its rounds; 0 is [DefaultAPDUTime]. An SE that asks for more time (a chip
	// by WTX, a software SE that makes a key) has it again, ten times at most.
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
	p := &peer{conn: c, ses: ses, lines: lineReader{src: c}, patience: patience{time: s.APDUTime}, input: true}
	p.lines.grow = func(size int) error { return p.hold(size, cap(p.out.buf)) }
	if p.patience.time <= 0 {
		p.patience.time = DefaultAPDUTime
	}
	p.patience.gone = func() error { return nil }
	if c, ok := c.(interface{ Gone() error }); ok {
		p.patience.gone = c.Gone
	}
	return p
}

// serve takes line after line until the client quits or the session breaks.
func (p *peer) serve(ctx context.Context) error {
	ctx = drivers.OnBusy(ctx, p.patience.busy)
	defer p.patience.close()
	for {
		line, err := p.read()
		if errors.Is(err, errLongLine) {
			err = p.longLine(line)
		} else if errors.Is(err, stp.ErrShare) {
			err = p.noRoom(line, err)
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
	if err := p.await(); err != nil {
		return nil, err
	}
	line, err := p.lines.next()
	p.input = err != nil || !blank(line)
	return line, err
}

// await gives the client its idle time if it has said something: a blank line is
// nothing.
func (p *peer) await() error {
	if p.input {
		return p.conn.AwaitInput()
	}
	return p.conn.Ended()
}

func blank(line []byte) bool { return len(bytes.Trim(line, " ")) == 0 }

// lost ends a session whose client says nothing more. What was executed in an
// unfinished request is answered if the reason is on this side.
func (p *peer) lost(err error) error {
	if ended := p.conn.Ended(); ended != nil {
		err = ended
		if p.state == inRequest && errors.Is(ended, stp.ErrDraining) {
			p.line++ // of the command that did not come
			return p.interrupt(racs.NoVerb, ended)
		}
		if errors.Is(ended, stp.ErrEnded) {
			return errors.Join(err, p.sayEnded(ended))
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
