package server

import (
	"context"
	"errors"
	"time"

	"github.com/cloud-of-se/tses/stp"
	"github.com/cloud-of-se/tses/stp/racs"
)

// refuseTime is how long a client that is not let in has for its first line: the
// answer has to carry its name.
const refuseTime = 2 * time.Second

// Refuse answers a client's first request with why it is not let in.
func (s *Server) Refuse(_ context.Context, c *stp.Conn, why error) error {
	if err := c.SetReadDeadline(time.Now().Add(refuseTime)); err != nil {
		return err
	}
	return s.newPeer(c, nil).refuse(why)
}

func (p *peer) refuse(why error) error {
	line, err := p.lines.next()
	for err == nil && blank(line) {
		line, err = p.lines.next()
	}
	verb, args := token(line)
	name, more := token(args)
	if err != nil || string(verb) != "BEGIN" || len(more) > 0 || hasControl(name) || len(name) > racs.MaxName {
		name = nil // it is told all the same
	}
	p.out.begin(name)
	return p.fail(status(racs.SystemError, racs.Begin, printable(why.Error())))
}

// sayEnded tells a client that its session was ended by somebody else: in the
// answer to its request, or unasked in one without a name.
func (p *peer) sayEnded(why error) error {
	if p.state == inRequest {
		p.line++ // of the command that did not come
		return p.interrupt(racs.NoVerb, why)
	}
	p.line = 0
	p.out.begin(nil)
	return p.fail(status(racs.SystemError, racs.Begin, printable(why.Error())))
}

// hold asks for buffers of these sizes in all.
func (p *peer) hold(lines, out int) error {
	if p.ses == nil {
		return nil // a client that is not let in sends one line
	}
	return p.ses.Hold(lines + out)
}

// reserve makes room for a result of n bytes, before the command that has it is
// executed. Answers that are complete go out rather than take room.
func (p *peer) reserve(n int) error {
	if p.out.fits(n) {
		return nil
	}
	if err := p.flush(); err != nil {
		return err
	}
	if p.out.fits(n) {
		return nil
	}
	need := len(p.out.buf) + n + tail
	for _, size := range []int{max(need, min(2*cap(p.out.buf), racs.MaxAnswer)), need} {
		err := p.hold(cap(p.lines.buf), size)
		if err == nil {
			p.out.resize(size)
			return nil
		}
		if size == need {
			return err
		}
	}
	return nil
}

// noRoom answers a line for which the share of the credential has no room.
func (p *peer) noRoom(start []byte, why error) error {
	verb, _ := token(start)
	s := status(racs.SystemError, verbs[string(verb)].verb, printable(why.Error()))
	switch p.state {
	case between:
		p.line = 0
		p.out.begin(nil)
		return p.outOfStep(s)
	case inRequest:
		p.line++
		return p.fail(s)
	}
	return nil
}

// whyStopped is the error of a command, with the reason if it was given up for
// the end of the session.
func (p *peer) whyStopped(err error) error {
	if ended := p.conn.Ended(); ended != nil && errors.Is(err, context.Canceled) {
		return errors.Join(ended, err)
	}
	return err
}
