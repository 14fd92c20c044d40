package cardsim

import (
	"time"

	"github.com/cloud-of-se/tses/apdu"
)

// t0 is T=0 on the card's side (ISO/IEC 7816-3, clause 10).
type t0 struct {
	*card
	header  []byte
	data    []byte
	want    int // data bytes that are still to come in all
	burst   int // of those, how many may come before the next procedure byte
	pending held
	apdu    []byte // what ENVELOPE has brought of a command
}

// held are response data that wait for GET RESPONSE, or for the same command
// with the right length.
type held struct {
	data   []byte
	sw     [2]byte
	header [4]byte
	retry  bool // the same command again, not GET RESPONSE
}

func newT0(c *card) *t0 {
	c.gap = 12
	return &t0{card: c}
}

func (t *t0) wake(time.Duration) {}

// receive rejects a character of wrong parity by holding I/O low, and gets it
// again (7.3).
func (t *t0) receive(now, lead time.Duration, b byte, bad bool) {
	switch {
	case bad:
		t.wire.pulse(after(lead, 10.5, t.etu), t.etu)
		return
	case t.want == 0 && len(t.header) < 4:
		t.header = append(t.header, b)
		return
	case t.want == 0:
		t.header = append(t.header, b)
		t.begin()
		return
	}
	t.data = append(t.data, b)
	t.want--
	t.burst--
	switch {
	case t.want == 0:
		t.execute()
	case t.burst == 0:
		t.acknowledge()
	}
}

// begin has a whole header.
func (t *t0) begin() {
	p3 := int(t.header[4])
	t.data = t.data[:0]
	if !incoming(t.header[0], t.header[1]) || p3 == 0 {
		t.execute()
		return
	}
	t.want = p3
	t.acknowledge()
}

// acknowledge asks for data bytes.
func (t *t0) acknowledge() {
	b := t.header[1]
	t.burst = t.want
	if t.opts.Single {
		b, t.burst = ^b, 1
	}
	t.send(after(t.received, 16, t.etu), []byte{b})
}

// execute answers a command that is complete.
func (t *t0) execute() {
	header := [5]byte(t.header)
	t.header = t.header[:0]
	command := append([]byte(nil), header[:4]...)
	switch {
	case len(t.data) > 0:
		command = append(append(command, byte(len(t.data))), t.data...)
	case !incoming(header[0], header[1]):
		command = append(command, header[4])
	}
	data, sw, start, ok := t.perform(header, command)
	if !ok {
		return
	}
	var out []byte
	if len(data) > 0 && t.opts.Single {
		for _, b := range data {
			out = append(out, ^header[1], b)
		}
	} else if len(data) > 0 {
		out = append(append(out, header[1]), data...)
	}
	t.send(start, append(out, sw[:]...))
}

// perform finds the answer and when it begins; ok is false where the card has
// given up.
func (t *t0) perform(header [5]byte, command []byte) (data []byte, sw [2]byte, start time.Duration, ok bool) {
	start = after(t.received, 16, t.etu)
	transport := header[1] == apdu.INSGetResponse && t.pending.data != nil && !t.pending.retry ||
		t.pending.retry && t.pending.header == [4]byte(header[:4]) && length(header[4]) == len(t.pending.data)
	if transport {
		data, sw = t.give(length(header[4]))
		return data, sw, start, true
	}
	t.pending = held{}
	if header[1] == apdu.INSEnvelope {
		if command = t.envelope(); command == nil {
			return nil, [2]byte{0x90, 0}, start, true
		}
	}
	response, delay, ok := t.obey(command, start)
	if !ok {
		return nil, sw, 0, false
	}
	n := len(response) - 2
	data, sw = t.shape(header, response[:n:n], [2]byte(response[n:]))
	return data, sw, delay, true
}

// envelope collects a command APDU; nil until it is whole.
func (t *t0) envelope() []byte {
	t.apdu = append(t.apdu, t.data...)
	if cmd, err := apdu.Parse(t.apdu); err != nil || !cmd.Extended {
		return nil
	}
	whole := t.apdu
	t.apdu = nil
	return whole
}

// obey lets the brain work, with NULL bytes meanwhile, and misbehaves if asked
// to.
func (t *t0) obey(command []byte, start time.Duration) (response []byte, at time.Duration, ok bool) {
	m := t.misbehaviour(command)
	now := start
	switch m {
	case MuteBefore:
		t.fallSilent()
		return nil, 0, false
	case RestartBefore:
		t.restart(now)
		return nil, 0, false
	case WrongProcedure:
		t.send(start, []byte{0x3C ^ command[1]&0x40})
		t.fallSilent()
		return nil, 0, false
	}
	response = t.run(command)
	switch m {
	case MuteAfter:
		t.fallSilent()
		return nil, 0, false
	case RestartAfter:
		t.restart(now)
		return nil, 0, false
	}
	return response, t.nulls(start, t.thinking(command), m), true
}

// nulls sends NULL bytes while the brain works and gives the time of the answer.
func (t *t0) nulls(start, thinking time.Duration, m Misbehaviour) time.Duration {
	half := t.clocks(float64(t.atr.T0WI()) * 960 * float64(t.rate.Fi) / 2)
	end := start + thinking
	if m == Waits {
		end = start + 3*half
	}
	for start+half <= end {
		start += half
		t.send(start, []byte{0x60})
	}
	if t.sent+time.Duration(12*t.etu) > end && t.fresh {
		end = after(t.sent, 12, t.etu)
	}
	return end
}

// shape is what T=0 makes of a response (ISO/IEC 7816-4, annex A): data only
// where they were asked for, and of the right length.
func (t *t0) shape(header [5]byte, data []byte, sw [2]byte) ([]byte, [2]byte) {
	le := length(header[4])
	switch n := len(data); {
	case n == 0:
		return nil, sw
	case incoming(header[0], header[1]):
		t.pending = held{data: data, sw: sw}
		return nil, [2]byte{0x61, remaining(n)}
	case n < le:
		t.pending = held{data: data, sw: sw, header: [4]byte(header[:4]), retry: true}
		return nil, [2]byte{0x6C, remaining(n)}
	case n > le:
		t.pending = held{data: data, sw: sw}
		return t.give(le)
	}
	return data, sw
}

// give hands out what is held.
func (t *t0) give(n int) ([]byte, [2]byte) {
	p := &t.pending
	if n > len(p.data) {
		return nil, [2]byte{0x6C, remaining(len(p.data))}
	}
	data := p.data[:n:n]
	p.data = p.data[n:]
	if len(p.data) > 0 {
		p.retry = false
		return data, [2]byte{0x61, remaining(len(p.data))}
	}
	sw := p.sw
	*p = held{}
	return data, sw
}

func length(b byte) int {
	if b == 0 {
		return 256
	}
	return int(b)
}

// remaining is XX of 61XX and 6CXX.
func remaining(n int) byte {
	if n > 255 {
		return 0
	}
	return byte(n)
}

// incoming tells whether a command brings data to the card when P3 is not 0. A
// real card knows its commands; these are those of ISO/IEC 7816-4 and
// GlobalPlatform, and of the scripted card.
func incoming(cla, ins byte) bool {
	switch ins {
	case 0x10, 0x12, 0x5A, 0x6C, 0x84, 0xB0, 0xB2, 0xC0, 0xCA, 0xDD:
		return false
	case 0xF2: // GET STATUS, not the STATUS of SIMs
		return cla != 0xA0
	}
	return true
}
