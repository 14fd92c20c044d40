package softse

import "github.com/cloud-of-se/tses/apdu"

// pending is what is left of a response after a part of it went out.
type pending struct {
	buf    []byte // owned
	rest   []byte // the part of buf that has not gone out
	sw     apdu.SW
	header [4]byte // T=0: the command that was answered 6CXX; CLA FF: none
}

const noHeader = 0xFF

// hold keeps response data, a copy, for the commands that fetch them.
func (p *pending) hold(data []byte, sw apdu.SW) {
	p.drop()
	p.buf = append(p.buf, data...)
	p.rest, p.sw = p.buf, sw
	p.header[0] = noHeader
}

func (p *pending) drop() {
	if p.rest == nil {
		return
	}
	clear(p.buf)
	p.buf, p.rest = p.buf[:0], nil
	if cap(p.buf) > keep {
		p.buf = nil
	}
}

// take gives out up to n bytes with the status word that goes with them:
// 61XX while more remains.
func (p *pending) take(n int) []byte {
	n = min(n, len(p.rest))
	out := make([]byte, 0, n+2)
	out = append(out, p.rest[:n]...)
	p.rest = p.rest[n:]
	if len(p.rest) > 0 {
		return apdu.Response{SW: remaining(0x61, len(p.rest))}.Append(out)
	}
	out = apdu.Response{SW: p.sw}.Append(out)
	p.drop()
	return out
}

// again is the answer to a command of which the card answered 6CXX (T=0) and
// which comes again with the right Le: it is not executed a second time.
func (p *pending) again(cmd apdu.Command) ([]byte, bool) {
	if p.rest == nil || p.header != [4]byte{cmd.CLA, cmd.INS, cmd.P1, cmd.P2} || p.header[0] == noHeader {
		return nil, false
	}
	if len(cmd.Data) > 0 || cmd.Ne != len(p.rest) {
		return nil, false
	}
	return p.take(cmd.Ne), true
}

// remaining is 61XX or 6CXX for n bytes; 00 stands for 256 and more.
func remaining(sw1 byte, n int) apdu.SW {
	if n > 255 {
		n = 0
	}
	return apdu.SW(sw1)<<8 | apdu.SW(n)
}

// answer encodes the response to a command, as much of it as may go out now.
func (ch *channel) answer(cmd apdu.Command, r apdu.Response, t0 bool) []byte {
	if t0 && len(r.Data) > 0 {
		return ch.answerT0(cmd, r)
	}
	if len(r.Data) <= limit(cmd) {
		return r.Bytes()
	}
	ch.pending.hold(r.Data, r.SW)
	return ch.pending.take(limit(cmd))
}

// limit is how many bytes may go out: Ne, or what Le 00 means where there is
// no Le field.
func limit(cmd apdu.Command) int {
	switch {
	case cmd.Ne > 0:
		return cmd.Ne
	case cmd.Extended:
		return 65536
	}
	return 256
}

// answerT0 is the way of T=0 (ISO/IEC 7816-4, annex A): response data of a
// command that had data wait for GET RESPONSE; without, Le must be right.
func (ch *channel) answerT0(cmd apdu.Command, r apdu.Response) []byte {
	n := len(r.Data)
	switch {
	case len(cmd.Data) > 0 || cmd.Ne == 0:
		ch.pending.hold(r.Data, r.SW)
		return apdu.Response{SW: remaining(0x61, n)}.Bytes()
	case cmd.Ne > n:
		ch.pending.hold(r.Data, r.SW)
		ch.pending.header = [4]byte{cmd.CLA, cmd.INS, cmd.P1, cmd.P2}
		return apdu.Response{SW: remaining(0x6C, n)}.Bytes()
	case cmd.Ne == n:
		return r.Bytes()
	}
	ch.pending.hold(r.Data, r.SW)
	return ch.pending.take(cmd.Ne)
}

// getResponse is GET RESPONSE (ISO/IEC 7816-4, 11.8.1).
func (ch *channel) getResponse(cmd apdu.Command, t0 bool) []byte {
	p := &ch.pending
	switch {
	case cmd.P1 != 0 || cmd.P2 != 0:
		return apdu.Response{SW: apdu.SWIncorrectP1P2}.Bytes()
	case len(cmd.Data) > 0:
		return apdu.Response{SW: apdu.SWWrongLength}.Bytes()
	case p.rest == nil:
		return apdu.Response{SW: apdu.SWConditionsNotSatisfied}.Bytes()
	case t0 && cmd.Ne > len(p.rest):
		return apdu.Response{SW: remaining(0x6C, len(p.rest))}.Bytes()
	}
	return p.take(limit(cmd))
}
