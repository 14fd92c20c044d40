package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/cloud-of-se/tses/stp"
	"github.com/cloud-of-se/tses/stp/racs"
)

// peer is one client's session.
type peer struct {
	conn     connection
	ses      *stp.Session
	lines    lineReader
	out      answer
	patience patience

	state state
	input bool // what came last from the client was no blank line
	line  int  // of the request, BEGIN is 0
	quit  bool // after this request
	seid  string
}

type state uint8

const (
	between   state = iota // requests
	inRequest              // BEGIN was there, END was not
	skipping               // the rest of a request that has failed and is answered
)

// take deals with one line. An error ends the session.
func (p *peer) take(ctx context.Context, line []byte) error {
	verb, args := token(line)
	if len(verb) == 0 {
		return nil // a blank line
	}
	switch p.state {
	case between:
		return p.begin(verb, args)
	case skipping:
		return p.skip(verb)
	}
	p.line++
	switch {
	case string(verb) == "END":
		return p.end()
	case string(verb) == "BEGIN":
		return p.outOfStep(status(racs.Illegal, racs.Begin, "BEGIN inside a request, END is missing"))
	}
	return p.command(ctx, verb, args)
}

// begin opens a request. A line with more than one name is a request without
// a name.
func (p *peer) begin(verb, args []byte) error {
	name, more := token(args)
	if len(more) > 0 {
		name = nil
	}
	p.line, p.quit = 0, false
	if err := p.reserve(racs.MaxName + lineRoom); err != nil {
		p.out.begin(nil)
		return p.outOfStep(statusOf(racs.Begin, err))
	}
	if string(verb) != "BEGIN" {
		p.out.begin(nil)
		return p.outOfStep(status(racs.Illegal, racs.NoVerb, "a line outside of a request, BEGIN is missing"))
	}
	p.state = inRequest
	switch {
	case hasControl(args):
		p.out.begin(nil)
		return p.fail(status(racs.SyntaxError, racs.Begin, "control bytes in the name"))
	case len(name) > racs.MaxName: // -302, though 02 is GET-VERSION elsewhere
		p.out.begin(name)
		return p.outOfStep(status(racs.Illegal, racs.GetVersion, "the name is longer than 64 bytes"))
	}
	p.out.begin(name)
	return nil
}

// end closes a request and its answer.
func (p *peer) end() error {
	if p.line == 1 { // END is the first line behind BEGIN
		p.out.keep(racs.Status{OK: true, Verb: racs.Begin, Text: "ready"})
	}
	p.out.end()
	p.state = between
	if p.quit {
		return errQuit
	}
	return nil
}

// skip passes over the lines of a request that has failed. A BEGIN there means
// that the client does not know where it is.
func (p *peer) skip(verb []byte) error {
	p.line++
	switch string(verb) {
	case "END":
		p.state = between
		if p.quit {
			return errQuit
		}
	case "BEGIN":
		p.out.begin(nil)
		return p.outOfStep(status(racs.Illegal, racs.Begin, "BEGIN inside a request that has failed, END is missing"))
	}
	return nil
}

// fail ends the request with an error: the results that were kept, then the
// error, and it goes out at once.
func (p *peer) fail(s racs.Status) error {
	s.Line = p.line
	p.out.drop()
	p.out.keep(s)
	p.out.end()
	p.state = skipping
	return p.flush()
}

// interrupt is fail for a reason on this side, and the end of the session. The
// result of the last command is told, which nothing has replaced.
func (p *peer) interrupt(v racs.Verb, why error) error {
	p.out.keepLast()
	return errors.Join(why, p.fail(status(racs.SystemError, v, why.Error())))
}

// outOfStep is fail, and the end of the session.
func (p *peer) outOfStep(s racs.Status) error {
	return errors.Join(errOutOfStep, p.fail(s))
}

// longLine answers a line that was too long to be stored.
func (p *peer) longLine(start []byte) error {
	verb, _ := token(start)
	switch p.state {
	case between:
		p.line = 0
		p.out.begin(nil)
		return p.outOfStep(status(racs.Illegal, racs.NoVerb, fmt.Sprintf("a line outside of a request, and longer than %d bytes", racs.MaxLine)))
	case inRequest:
		p.line++
		return p.fail(status(racs.SyntaxError, verbs[string(verb)].verb, fmt.Sprintf("the line is longer than %d bytes", racs.MaxLine)))
	}
	return nil
}

// command executes one command of a request.
func (p *peer) command(ctx context.Context, verb, args []byte) error {
	do, ok := verbs[string(verb)]
	switch {
	case hasControl(verb) || hasControl(args):
		return p.fail(status(racs.SyntaxError, do.verb, "control bytes in the line"))
	case !ok:
		return p.fail(status(racs.UnknownCommand, racs.NoVerb, fmt.Sprintf("unknown command %.32q", verb)))
	case p.line > racs.MaxCommands:
		return p.fail(status(racs.SystemError, do.verb, fmt.Sprintf("a request has at most %d commands", racs.MaxCommands)))
	}
	if err := p.conn.Ended(); err != nil {
		return p.interrupt(do.verb, err)
	}
	args, kept := cutAppend(args)
	p.out.drop() // the last result, unless it was kept
	if p.out.room() < do.room(args) {
		return p.fail(status(racs.SystemError, do.verb, fmt.Sprintf("not executed: its result could make the answer longer than %d bytes; send END and begin another request", racs.MaxAnswer)))
	}
	if err := p.reserve(do.need(args)); err != nil {
		return p.fail(statusOf(do.verb, err))
	}
	if do.usesSE {
		// Answers that are complete must not wait for a chip.
		if err := p.flush(); err != nil {
			return err
		}
	}
	if err := do.run(p, ctx, args); err != nil {
		return p.fail(statusOf(do.verb, p.whyStopped(err)))
	}
	if kept {
		p.out.keepLast()
	}
	return nil
}

// token splits off the first word. Words are separated by one or more spaces.
func token(b []byte) (word, rest []byte) {
	b = bytes.TrimLeft(b, " ")
	i := bytes.IndexByte(b, ' ')
	if i < 0 {
		return b, nil
	}
	return b[:i], bytes.Trim(b[i:], " ")
}

// cutAppend removes APPEND where it is the last word.
func cutAppend(args []byte) (rest []byte, found bool) {
	rest, found = bytes.CutSuffix(args, []byte("APPEND"))
	if !found || len(rest) > 0 && rest[len(rest)-1] != ' ' {
		return args, false
	}
	return bytes.TrimRight(rest, " "), true
}

func hasControl(b []byte) bool {
	for _, c := range b {
		if c < ' ' || c == 0x7F {
			return true
		}
	}
	return false
}
