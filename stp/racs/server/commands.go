package server

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/cloud-of-se/tses/access"
	"github.com/cloud-of-se/tses/apdu"
	"github.com/cloud-of-se/tses/drivers"
	"github.com/cloud-of-se/tses/grid"
	"github.com/cloud-of-se/tses/internal/plain"
	"github.com/cloud-of-se/tses/stp"
	"github.com/cloud-of-se/tses/stp/racs"
)

// command is how a verb is executed. run appends its result to p.out, or
// returns the error that the client is told.
type command struct {
	verb   racs.Verb
	run    func(p *peer, ctx context.Context, args []byte) error
	usesSE bool
	echoes bool // the result is as long as the arguments
}

var verbs = map[string]command{
	"GET-VERSION": {verb: racs.GetVersion, run: (*peer).getVersion},
	"SET-VERSION": {verb: racs.SetVersion, run: (*peer).setVersion},
	"LIST":        {verb: racs.List, run: (*peer).list},
	"RESET":       {verb: racs.Reset, run: (*peer).reset, usesSE: true},
	"APDU":        {verb: racs.APDU, run: (*peer).apdu, usesSE: true},
	"SHUTDOWN":    {verb: racs.Shutdown, run: (*peer).shutdown, usesSE: true},
	"POWERON":     {verb: racs.PowerOn, run: (*peer).powerOn, usesSE: true},
	"ECHO":        {verb: racs.Echo, run: (*peer).echo, echoes: true},
	"QUIT":        {verb: racs.Quit, run: (*peer).quitAfter},
	"SEN":         {verb: racs.SEN, run: notImplemented(racs.SEN)},
	"GET-SEN":     {verb: racs.GetSEN, run: notImplemented(racs.GetSEN)},
}

// room is how long the result can be.
func (c command) room(args []byte) int {
	if c.echoes {
		return len(args) + lineRoom
	}
	return 2*apdu.MaxResponse + lineRoom
}

// need is how much of that is asked for before the arguments have been read: what
// can have more asks for it itself.
func (c command) need(args []byte) int {
	if c.echoes {
		return len(args) + lineRoom
	}
	return textRoom
}

// textRoom is the room of a result in words.
const textRoom = 512

// lineRoom is the room for status, line number, words and line end.
const lineRoom = 64

// ok appends the head of a result line, and a space for the text that follows.
func (p *peer) ok(v racs.Verb) {
	p.out.result(racs.Status{OK: true, Verb: v, Line: p.line})
	p.out.buf = append(p.out.buf, ' ')
}

// okText appends a whole result line.
func (p *peer) okText(v racs.Verb, text string) error {
	p.out.result(racs.Status{OK: true, Verb: v, Line: p.line, Text: text})
	p.out.endLine()
	return nil
}

func (p *peer) getVersion(context.Context, []byte) error {
	return p.okText(racs.GetVersion, racs.Version)
}

func (p *peer) setVersion(_ context.Context, args []byte) error {
	switch version, _ := token(args); string(version) {
	case racs.Version:
		return p.okText(racs.SetVersion, "version "+racs.Version)
	case "":
		return status(racs.SyntaxError, racs.SetVersion, "the version is missing")
	default:
		return status(racs.NotSupported, racs.SetVersion, fmt.Sprintf("version %.32q, this server speaks %s", version, racs.Version))
	}
}

func (p *peer) list(context.Context, []byte) error {
	seids, size := p.ses.List(), lineRoom
	for _, seid := range seids {
		size += len(seid) + 1
	}
	if err := p.reserve(size); err != nil {
		return err
	}
	p.ok(racs.List)
	for _, seid := range seids {
		p.out.buf = append(append(p.out.buf, seid...), ' ')
	}
	p.out.endLine()
	return nil
}

func (p *peer) echo(_ context.Context, args []byte) error {
	if len(args) == 0 {
		return status(racs.SyntaxError, racs.Echo, "the word is missing")
	}
	p.ok(racs.Echo)
	p.out.buf = append(p.out.buf, args...)
	p.out.endLine()
	return nil
}

func (p *peer) quitAfter(context.Context, []byte) error {
	p.quit = true
	return p.okText(racs.Quit, "the connection closes after this answer")
}

func notImplemented(v racs.Verb) func(*peer, context.Context, []byte) error {
	return func(*peer, context.Context, []byte) error {
		return status(racs.NotImplemented, v, "this server has no SE numbers, LIST shows the SEIDs")
	}
}

func (p *peer) powerOn(ctx context.Context, args []byte) error {
	seid, err := p.oneSEID(racs.PowerOn, args)
	if err != nil {
		return err
	}
	atr, already, err := p.ses.PowerOn(p.patience.begin(ctx), seid)
	if err = p.patience.end(err); err != nil {
		return err
	}
	if already {
		return p.okText(racs.PowerOn, fmt.Sprintf("warning: %s was on already and is as it was, ATR %X", seid, atr))
	}
	return p.okText(racs.PowerOn, fmt.Sprintf("%s is powered on, ATR %X", seid, atr))
}

func (p *peer) shutdown(_ context.Context, args []byte) error {
	seid, err := p.oneSEID(racs.Shutdown, args)
	if err != nil {
		return err
	}
	err = p.ses.PowerOff(seid)
	if err == nil {
		return p.okText(racs.Shutdown, seid+" is powered off")
	}
	if errors.Is(err, grid.ErrUnknown) || isInUse(err) {
		return err
	}
	return p.okText(racs.Shutdown, printable("warning: powered off with an error: "+err.Error()))
}

func (p *peer) reset(ctx context.Context, args []byte) error {
	tok, option := token(args)
	if len(tok) == 0 {
		return status(racs.SyntaxError, racs.Reset, "the SEID is missing")
	}
	kind := drivers.Cold
	switch string(option) {
	case "":
	case "WARM":
		kind = drivers.Warm
	default:
		return status(racs.NotSupported, racs.Reset, fmt.Sprintf("option %.32q, RESET knows WARM", option))
	}
	seid := p.intern(tok)
	atr, err := p.ses.Reset(p.patience.begin(ctx), seid, kind)
	if err = p.patience.end(err); err != nil {
		return err
	}
	return p.okText(racs.Reset, fmt.Sprintf("%s was reset (%s), ATR %X", seid, kind, atr))
}

// oneSEID reads the only argument of POWERON and SHUTDOWN.
func (p *peer) oneSEID(v racs.Verb, args []byte) (string, error) {
	seid, more := token(args)
	switch {
	case len(seid) == 0:
		return "", status(racs.SyntaxError, v, "the SEID is missing")
	case len(more) > 0:
		return "", status(racs.NotSupported, v, fmt.Sprintf("%.32q behind the SEID; one SE at a time", more))
	}
	return p.intern(seid), nil
}

// intern makes a string of a SEID; most commands are for the same as the one
// before.
func (p *peer) intern(seid []byte) string {
	if string(seid) != p.seid {
		p.seid = string(seid)
	}
	return p.seid
}

// status makes an error status. The line is set where it is sent.
func status(c racs.Class, v racs.Verb, text string) racs.Status {
	return racs.Status{Class: c, Verb: v, Text: text}
}

// statusOf is what the client is told of an error.
func statusOf(v racs.Verb, err error) racs.Status {
	if s := (racs.Status{}); errors.As(err, &s) {
		return s
	}
	return status(classOf(err), v, printable(err.Error()))
}

func classOf(err error) racs.Class {
	var refusal *access.Refusal
	switch {
	case errors.Is(err, stp.ErrShare), errors.Is(err, stp.ErrEnded):
		return racs.SystemError
	case errors.Is(err, grid.ErrUnknown):
		return racs.NotSupported
	case isInUse(err):
		return racs.InUse
	case errors.As(err, &refusal):
		return racs.Unauthorized
	case errors.Is(err, apdu.ErrMalformed) && !errors.Is(err, drivers.ErrProtocol):
		return racs.SyntaxError
	case errors.Is(err, drivers.ErrPoweredOff):
		return racs.Illegal
	case errors.Is(err, context.DeadlineExceeded): // of its time, by which it was cancelled
		return racs.HardwareError
	case errors.Is(err, context.Canceled), errors.Is(err, grid.ErrClosed), errors.Is(err, stp.ErrDraining):
		return racs.SystemError
	}
	return racs.HardwareError // the driver's
}

func isInUse(err error) bool {
	var inUse *grid.InUseError
	return errors.As(err, &inUse)
}

// printable makes one bounded line of a text.
func printable(text string) string {
	text = plain.Text(strings.NewReplacer("\n", "; ", "\t", " ").Replace(text))
	if len(text) > tail/2 {
		text = strings.ToValidUTF8(text[:tail/2], "")
	}
	return text
}
