package server

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"

	"github.com/cloud-of-se/tses/apdu"
	"github.com/cloud-of-se/tses/drivers"
	"github.com/cloud-of-se/tses/stp"
	"github.com/cloud-of-se/tses/stp/racs"
)

const (
	maxFetched = 65536 // bytes that MORE joins
	maxRounds  = 256   // GET RESPONSE commands that MORE sends
)

// apdu executes APDU SEID HEX [CONTINUE=SW1SW2] [RAW] [MORE=SW1] [FETCH=CLAINSP1P2].
func (p *peer) apdu(ctx context.Context, args []byte) error {
	tok, args := token(args)
	digits, args := token(args)
	if len(tok) == 0 || len(digits) == 0 {
		return status(racs.SyntaxError, racs.APDU, "APDU needs a SEID and a command in hex digits")
	}
	opts, err := parseOptions(args)
	if err != nil {
		return err
	}
	seid := p.intern(tok)
	se, err := p.ses.Find(seid)
	if err != nil { // before its APDU is judged: no such SE, no advice
		return err
	}
	wire, cmd, err := parseHex(digits)
	if err != nil {
		return err
	}
	if err := p.reserve(answerRoom(cmd, opts)); err != nil {
		return err
	}
	x := exchange{p: p, ctx: p.patience.begin(ctx), seid: seid, se: se, raw: opts.raw}
	r, err := x.transmit(cmd, wire)
	if err == nil && opts.more {
		r, err = x.fetch(cmd, r, opts)
	}
	if err = p.patience.end(err); err != nil {
		return err
	}
	if opts.wants && r.SW != opts.want {
		return unexpected(r, opts.want)
	}
	p.ok(racs.APDU)
	p.out.appendHex(r.Data)
	p.out.appendHex([]byte{r.SW.SW1(), r.SW.SW2()})
	p.out.endLine()
	return nil
}

// answerRoom is how long the result can be: an SE answers with no more data than
// it was asked for.
func answerRoom(c apdu.Command, o options) int {
	data := max(c.Ne, 256)
	if o.more {
		data = maxFetched
	}
	return 2*(data+2) + textRoom
}

// unexpected is the error of CONTINUE. The command was executed, so its whole
// answer is told.
func unexpected(r apdu.Response, want apdu.SW) error {
	text := fmt.Sprintf("%s, CONTINUE wants %s", r.SW, want)
	if len(r.Data) > 0 {
		text += fmt.Sprintf(", answer %X", r.Bytes())
	}
	return status(racs.ExecutionError, racs.APDU, text)
}

// parseHex reads a command. It decodes in place: the digits are gone.
func parseHex(digits []byte) (wire []byte, c apdu.Command, err error) {
	n, err := hex.Decode(digits, digits)
	if err != nil {
		return nil, c, status(racs.SyntaxError, racs.APDU, "the command is not an even number of hex digits: "+err.Error())
	}
	c, err = apdu.Parse(digits[:n])
	return digits[:n], c, err
}

// options of an APDU command.
type options struct {
	wants, more, fetches bool
	raw                  bool    // RAW: the SE's own answer, 6CXX too
	want                 apdu.SW // CONTINUE
	sw1                  byte    // MORE
	header               [4]byte // FETCH
}

func parseOptions(args []byte) (o options, err error) {
	for len(args) > 0 {
		var option []byte
		option, args = token(args)
		name, value, hasValue := bytes.Cut(option, []byte("="))
		var given *bool
		var raw [4]byte
		size := 0
		switch string(name) {
		case "RAW":
			if o.raw || hasValue {
				return o, status(racs.SyntaxError, racs.APDU, fmt.Sprintf("option %.32q: want RAW once, without a value", option))
			}
			o.raw = true
			continue
		case "CONTINUE":
			given, size = &o.wants, 2
		case "MORE":
			given, size = &o.more, 1
		case "FETCH":
			given, size = &o.fetches, 4
		default:
			return o, status(racs.NotSupported, racs.APDU, fmt.Sprintf("option %.32q, APDU knows CONTINUE, RAW, MORE, FETCH and APPEND", option))
		}
		if *given || !hasValue || len(value) != 2*size {
			return o, badOption(option, size)
		}
		if _, err := hex.Decode(raw[:], value); err != nil {
			return o, badOption(option, size)
		}
		*given = true
		switch size {
		case 2:
			o.want = apdu.SW(raw[0])<<8 | apdu.SW(raw[1])
		case 1:
			o.sw1 = raw[0]
		case 4:
			o.header = raw
		}
	}
	if o.raw && (o.more || o.fetches) {
		return o, status(racs.SyntaxError, racs.APDU, "RAW is the answer as it came; it goes with neither MORE nor FETCH")
	}
	return o, nil
}

func badOption(option []byte, size int) error {
	return status(racs.SyntaxError, racs.APDU, fmt.Sprintf("option %.32q: want it once, with '=' and %d hex digits", option, 2*size))
}

// exchange is one APDU command's dealings with its SE.
type exchange struct {
	p    *peer
	ctx  context.Context
	seid string
	se   stp.SE
	raw  bool // one command, one answer
}

// transmit sends a command. An answer 6CXX to a case 2 command, which asks for
// it with Le XX, is obeyed once (ISO/IEC 7816-4, 5.6), unless the client plays
// T=0 itself: it has told its side Le, and must say what the card said.
func (x exchange) transmit(c apdu.Command, wire []byte) (apdu.Response, error) {
	r, err := x.p.ses.TransmitTo(x.ctx, x.se, c, wire)
	if err != nil || x.raw || r.SW.SW1() != 0x6C || c.Case() != 2 {
		return r, err
	}
	c.Ne = shortNe(r.SW.SW2())
	if wire, err = c.Bytes(); err != nil {
		return r, err
	}
	return x.p.ses.TransmitTo(x.ctx, x.se, c, wire)
}

// fetch joins what the SE has more of: while the answer ends in the SW1 that
// MORE names, GET RESPONSE (ISO/IEC 7816-4, 11.7.1) is sent on the channel of
// the command.
func (x exchange) fetch(c apdu.Command, r apdu.Response, o options) (apdu.Response, error) {
	header := [4]byte{apdu.OnChannel(0x00, apdu.Class(c.CLA).Channel()), apdu.INSGetResponse}
	if o.fetches {
		header = o.header
	}
	data := r.Data
	for round := 0; r.SW.SW1() == o.sw1; round++ {
		if round == maxRounds {
			return r, x.tooMuch(r, fmt.Sprintf("%d rounds of GET RESPONSE", round))
		}
		get := apdu.Command{CLA: header[0], INS: header[1], P1: header[2], P2: header[3], Ne: shortNe(r.SW.SW2())}
		wire, err := get.Bytes()
		if err != nil {
			return r, err
		}
		if r, err = x.transmit(get, wire); err != nil {
			return r, err
		}
		if len(data)+len(r.Data) > maxFetched {
			return r, x.tooMuch(r, fmt.Sprintf("%d bytes", len(data)+len(r.Data)))
		}
		data = append(data, r.Data...)
	}
	return apdu.Response{Data: data, SW: r.SW}, nil
}

func (x exchange) tooMuch(r apdu.Response, what string) error {
	return fmt.Errorf("%s: %w: MORE gives up after %s, the last answer ended in %s", x.seid, drivers.ErrProtocol, what, r.SW)
}

func shortNe(le byte) int {
	if le == 0 {
		return 256
	}
	return int(le)
}
