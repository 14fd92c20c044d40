package cardsim

import (
	"math"
	"time"
)

// t1 is T=1 on the card's side (ISO/IEC 7816-3, clause 11).
type t1 struct {
	*card
	cwt, bwt time.Duration
	crc      bool
	ifsd     int

	block   []byte
	spoiled bool          // a character of the block was bad
	busy    time.Duration // what comes before is not for the card: it is about to send

	ns, nr  byte // of the next I-block to and from the terminal
	command []byte
	answer  []byte // not yet sent
	last    []byte // the block that was sent last
	lastI   bool   // it was an I-block
	more    bool   // with M set

	left  time.Duration // until the answer
	asked bool          // S(WTX request) is out
}

func newT1(c *card) *t1 {
	p := c.atr.T1()
	if c.atr.ExtraGuardTime() == 255 {
		c.gap = 11
	}
	return &t1{
		card: c, crc: p.CRC, ifsd: 32,
		cwt: time.Duration((11 + math.Exp2(float64(p.CWI))) * c.etu),
		bwt: time.Duration(11*c.etu) + c.clocks(float64(int(1)<<p.BWI)*960*372),
	}
}

func (t *t1) edc() int {
	if t.crc {
		return 2
	}
	return 1
}

// receive collects a block. One that stays incomplete is over after CWT.
func (t *t1) receive(now, lead time.Duration, b byte, bad bool) {
	if now < t.busy {
		return
	}
	t.spoiled = t.spoiled || bad
	t.block = append(t.block, b)
	t.alarm = lead + t.cwt + time.Duration(seenAfter*t.etu)
	if len(t.block) >= 3 && len(t.block) == 3+int(t.block[2])+t.edc() && t.block[2] != 0xFF {
		t.alarm = 0
		t.judge()
	}
}

// wake is the end of a block that was too short.
func (t *t1) wake(now time.Duration) {
	t.received = now
	t.spoiled = true
	t.judge()
}

// judge takes a block, whole or not.
func (t *t1) judge() {
	block, spoiled := t.block, t.spoiled
	t.block, t.spoiled = nil, false
	if spoiled || !t.intact(block) {
		t.sendR(1)
		return
	}
	pcb, inf := block[1], block[3:len(block)-t.edc()]
	switch {
	case block[0] != 0:
		t.sendR(2)
	case pcb&0x80 == 0 && pcb&0x1F == 0:
		t.takeI(pcb, inf)
	case pcb&0xEC == 0x80 && len(inf) == 0:
		t.takeR(pcb >> 4 & 1)
	case pcb&0xC0 == 0xC0:
		t.takeS(pcb, inf)
	default:
		t.sendR(2)
	}
}

// takeI is an I-block.
func (t *t1) takeI(pcb byte, inf []byte) {
	switch {
	case t.more || t.asked || pcb>>6&1 != t.nr:
		t.sendR(2)
		return
	case len(t.command)+len(inf) > 65544:
		t.fallSilent()
		return
	}
	t.nr ^= 1
	t.command = append(t.command, inf...)
	if pcb&0x20 != 0 {
		t.sendR(0)
		return
	}
	command := t.command
	t.command = nil
	t.obey(command)
}

// obey executes a command.
func (t *t1) obey(command []byte) {
	m := t.misbehaviour(command)
	now := after(t.received, 22, t.etu)
	switch m {
	case MuteBefore:
		t.fallSilent()
		return
	case RestartBefore:
		t.card.restart(now)
		return
	}
	t.answer = t.run(command)
	switch m {
	case MuteAfter:
		t.fallSilent()
		return
	case RestartAfter:
		t.card.restart(now)
		return
	case WrongProcedure:
		t.sendBlock(0xDF, nil, 0)
		return
	case WrongSequence:
		t.ns ^= 1
		t.sendI(0)
		t.ns ^= 1
		return
	}
	t.left = t.card.thinking(command)
	if m == Waits {
		t.left = 3 * t.bwt
	}
	t.proceed()
}

// proceed sends the answer, or asks for more time while the brain thinks.
func (t *t1) proceed() {
	const share = 2 // a half of what is granted
	if t.left < t.bwt/share {
		d := t.left
		t.left = 0
		t.sendI(d)
		return
	}
	d := t.bwt / share
	t.left -= d
	t.asked = true
	t.sendBlock(0xC3, []byte{1}, d)
}

// sendI sends the next block of the answer.
func (t *t1) sendI(delay time.Duration) {
	n := min(len(t.answer), t.ifsd)
	pcb := t.ns << 6
	if t.more = n < len(t.answer); t.more {
		pcb |= 0x20
	}
	part := t.answer[:n]
	t.answer = t.answer[n:]
	t.ns ^= 1
	t.sendBlock(pcb, part, delay)
	t.lastI = true
}

// takeR is an R-block: the terminal wants the block of that number.
func (t *t1) takeR(nr byte) {
	switch {
	case t.lastI && t.more && nr == t.ns:
		t.sendI(0)
	case t.last == nil:
		t.sendR(0)
	case t.lastI && nr == t.ns:
		t.sendR(2) // there is no further block
	default:
		t.repeat()
	}
}

// takeS is an S-block.
func (t *t1) takeS(pcb byte, inf []byte) {
	switch {
	case pcb == 0xE3 && t.asked && len(inf) == 1:
		t.asked = false
		t.proceed()
	case pcb == 0xC0 && len(inf) == 0: // RESYNCH
		t.ns, t.nr, t.command, t.answer, t.more, t.asked, t.last = 0, 0, nil, nil, false, false, nil
		t.sendBlock(0xE0, nil, 0)
		t.last, t.lastI = nil, false
	case pcb == 0xC1 && len(inf) == 1 && inf[0] > 0 && inf[0] < 0xFF:
		t.ifsd = int(inf[0])
		t.sendBlock(0xE1, inf, 0)
	case pcb == 0xC2 && len(inf) == 0: // ABORT
		t.command, t.answer, t.more, t.asked = nil, nil, false, false
		t.sendBlock(0xE2, nil, 0)
	default:
		t.sendR(2)
	}
}

// sendR asks for the block of number N(R). While a block of its own is not
// acknowledged the card asks for that again by repeating it only when told to.
func (t *t1) sendR(code byte) {
	saved, lastI, more := t.last, t.lastI, t.more
	t.sendBlock(0x80|t.nr<<4|code, nil, 0)
	if code != 0 && saved != nil { // an error report is not what is to be repeated
		t.last, t.lastI, t.more = saved, lastI, more
	}
}

func (t *t1) repeat() { t.transmit(t.last, 0) }

func (t *t1) sendBlock(pcb byte, inf []byte, delay time.Duration) {
	block := append([]byte{0, pcb, byte(len(inf))}, inf...)
	t.last, t.lastI = t.code(block), false
	t.transmit(t.last, delay)
}

func (t *t1) transmit(block []byte, delay time.Duration) {
	start := max(after(t.received, 22, t.etu), t.received+delay)
	t.send(start, block)
	t.busy = t.sent + time.Duration(seenAfter*t.etu)
}

// code puts the error detection code behind a block.
func (t *t1) code(block []byte) []byte {
	if !t.crc {
		var sum byte
		for _, b := range block {
			sum ^= b
		}
		return append(block, sum)
	}
	sum := uint16(0xFFFF)
	for _, b := range block {
		sum ^= uint16(b)
		for range 8 {
			low := sum & 1
			if sum >>= 1; low != 0 {
				sum ^= 0x8408
			}
		}
	}
	return append(block, byte(sum>>8), byte(sum))
}

func (t *t1) intact(block []byte) bool {
	n := len(block) - t.edc()
	return n >= 3 && n == 3+int(block[2]) && string(t.code(append([]byte(nil), block[:n]...))[n:]) == string(block[n:])
}
