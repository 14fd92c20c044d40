package pcsc

import (
	"errors"

	"github.com/cloud-of-se/tses/apdu"
	"github.com/cloud-of-se/tses/drivers"
)

// maxT0 is the most command data that a TPDU of T=0 has.
const maxT0 = 255

// sendT0 carries a command APDU on T=0 (ISO/IEC 7816-3, 12.2). send sends one
// TPDU, always a header of five bytes and its data: readers that work at the
// level of TPDUs send what they are given.
//
// A short command is one TPDU and what the card says is the answer, 61XX and
// 6CXX too; case 4 goes without its Le. An extended one, which T=0 has no length
// fields for, goes in ENVELOPE where it has more than 255 bytes of data; 61XX is
// followed by GET RESPONSE up to Ne bytes and 6CXX by the right length, because
// nobody above sees the TPDUs.
func sendT0(command []byte, send func(tpdu []byte) ([]byte, error)) ([]byte, error) {
	c, err := apdu.Parse(command)
	if err != nil {
		return nil, err
	}
	if !c.Extended {
		return send(tpduOf(c))
	}
	x := extended{cmd: c, send: send}
	r, err := x.begin(command)
	if err == nil {
		r, err = x.fetch(r)
	}
	if err != nil && x.sent && !errors.Is(err, drivers.ErrOutcomeUnknown) {
		err = errors.Join(err, drivers.ErrOutcomeUnknown)
	}
	return r, err
}

// tpduOf is the TPDU of a command with at most 255 bytes of data.
func tpduOf(c apdu.Command) []byte {
	tpdu := []byte{c.CLA, c.INS, c.P1, c.P2, 0}
	switch {
	case len(c.Data) > 0: // the cases 3 and 4 are one
		tpdu[4] = byte(len(c.Data))
		tpdu = append(tpdu, c.Data...)
	case c.Ne < 256: // case 1, and case 2; 256 and more are 00
		tpdu[4] = byte(c.Ne)
	}
	return tpdu
}

// extended is one extended command on its way.
type extended struct {
	cmd  apdu.Command
	send func(tpdu []byte) ([]byte, error)
	sent bool // the card has had the whole command; of one TPDU, send's error tells
}

// begin sends the command, by itself or in ENVELOPE. A status word other than
// 9000 before the last part is the answer.
func (x *extended) begin(command []byte) ([]byte, error) {
	if len(x.cmd.Data) <= maxT0 {
		return x.correct(x.cmd)
	}
	for {
		n := min(len(command), maxT0)
		last := n == len(command)
		r, err := x.send(tpduOf(apdu.Command{CLA: transportClass(x.cmd.CLA), INS: apdu.INSEnvelope, Data: command[:n]}))
		x.sent = last && err == nil
		if err != nil || last || !endsIn(r, 0x90) {
			return r, err
		}
		command = command[n:]
	}
}

// correct sends a command, and once more with the length that the card asks for
// by 6CXX, which says that it has not executed it.
func (x *extended) correct(c apdu.Command) ([]byte, error) {
	r, err := x.send(tpduOf(c))
	x.sent = x.sent || err == nil
	if err != nil || len(c.Data) > 0 || c.Ne == 0 || len(r) != 2 || r[0] != 0x6C {
		return r, err
	}
	c.Ne = lengthOf(r[1])
	return x.send(tpduOf(c))
}

// fetch follows 61XX until there are Ne bytes, or no more come.
func (x *extended) fetch(r []byte) ([]byte, error) {
	for endsIn(r, 0x61) && len(r)-2 < x.cmd.Ne {
		data := r[: len(r)-2 : len(r)-2]
		get := apdu.Command{CLA: transportClass(x.cmd.CLA), INS: apdu.INSGetResponse}
		get.Ne = min(lengthOf(r[len(r)-1]), x.cmd.Ne-len(data))
		more, err := x.correct(get)
		if err != nil {
			return nil, err
		}
		r = append(data, more...)
		if len(more) <= 2 {
			break // nothing came: it will not come at the next try
		}
	}
	return r, nil
}

// endsIn tells whether a response has a status word with this SW1.
func endsIn(r []byte, sw1 byte) bool { return len(r) >= 2 && r[len(r)-2] == sw1 }

// lengthOf reads a length byte of which 00 is 256.
func lengthOf(b byte) int {
	if b == 0 {
		return 256
	}
	return int(b)
}

// transportClass is the class of ENVELOPE and GET RESPONSE for a command: on its
// channel, or A0 where a SIM has nothing else (ETSI TS 100 977, 9.2).
func transportClass(cla byte) byte {
	if cla == 0xA0 {
		return cla
	}
	return apdu.OnChannel(0, apdu.Class(cla).Channel())
}
