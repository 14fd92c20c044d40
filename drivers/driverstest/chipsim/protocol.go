package chipsim

import "slices"

// protocol is the chip's half of T=1.
type protocol struct {
	rxN     byte   // N(S) of the host's block that is expected
	txN     byte   // N(S) of the chip's next block
	ifsc    int    // the most INF bytes from the host
	ifsd    int    // and to it
	ifsTold bool   // the host has sent S(IFS request)
	command []byte // the blocks of a chain so far

	answer    []byte // what of the answer was not sent yet
	lastI     *block // sent last and not acknowledged
	extending bool   // a request for more time is out
	ready     []byte // the answer that waits until that is granted
	telling   bool   // the parameters are being sent
	lastBare  *block // IoSE: the answer, in case it is asked for again
}

const (
	pcbMore   = 0x20
	errCheck  = 1
	errOther  = 2
	moreShift = 5
)

// handle takes one block of the host.
func (c *Chip) handle(raw []byte) {
	b, ok := c.decode(c.opts.Family.fromHost, raw)
	switch {
	case c.opts.Family.bare && (!ok || b.pcb == 0xC1 || b.pcb&0xC0 == 0x80):
		c.handleBare(b, ok)
	case !ok:
		c.sayR(errCheck)
	case b.pcb&0x80 == 0:
		c.takeI(b)
	case b.pcb&0xC0 == 0x80:
		c.takeR(b)
	default:
		c.takeS(b)
	}
}

func (c *Chip) sayR(code byte) { c.say(block{0x80 | c.protocol.rxN<<4 | code, nil}) }

// takeI takes an I-block.
func (c *Chip) takeI(b block) {
	p := &c.protocol
	if c.opts.Family.ifs == ifsFirst && !p.ifsTold {
		c.audit.report("an I-block before S(IFS request)")
	}
	if b.pcb>>6&1 != p.rxN || len(b.inf) > p.ifsc || p.extending {
		c.sayR(errOther)
		return
	}
	p.rxN ^= 1
	p.lastI, p.answer = nil, nil
	p.command = append(p.command, b.inf...)
	if b.pcb&pcbMore != 0 {
		c.sayR(0)
		return
	}
	command := p.command
	p.command = nil
	c.execute(command)
}

// takeR takes an R-block: an acknowledgement, or the wish to hear the last
// block again.
func (c *Chip) takeR(b block) {
	p := &c.protocol
	n := b.pcb >> 4 & 1
	switch {
	case p.extending:
		c.sayExtend()
	case p.lastI != nil && n == p.lastI.pcb>>6&1:
		c.say(*p.lastI)
	case p.lastI != nil && len(p.answer) > 0:
		c.sayNext()
	default:
		c.sayR(0)
	}
}

// sayNext sends the next block of the answer.
func (c *Chip) sayNext() {
	p := &c.protocol
	n := min(len(p.answer), p.ifsd)
	b := block{p.txN << 6, slices.Clone(p.answer[:n])}
	p.answer = p.answer[n:]
	if len(p.answer) > 0 {
		b.pcb |= pcbMore
	}
	p.txN ^= 1
	p.lastI = &b
	c.say(c.opts.Faults.number(c, b))
}

// takeS takes an S-block.
func (c *Chip) takeS(b block) {
	p := &c.protocol
	switch b.pcb {
	case 0xC0: // RESYNCH
		c.brain.abandon()
		*p = protocol{ifsc: p.ifsc, ifsd: p.ifsd, ifsTold: p.ifsTold}
		c.say(block{0xE0, nil})
	case 0xC1: // IFS
		c.takeIFS(b)
	case 0xC2: // ABORT
		p.command, p.answer, p.lastI = nil, nil, nil
		c.say(block{0xE2, nil})
	case 0xE3: // the host grants time
		c.granted()
	default:
		c.takeOwn(b)
	}
}

// takeIFS takes the size of the blocks to the host, and with some chips of those
// from it.
func (c *Chip) takeIFS(b block) {
	p, n := &c.protocol, 0
	for _, v := range b.inf {
		n = n<<8 | int(v)
	}
	both := c.opts.Family.ifs == ifsBoth
	if both && n > c.opts.IFSC || c.opts.ShortIFS && len(b.inf) != 1 {
		c.sayR(errOther)
		return
	}
	if both {
		p.ifsc = n
	}
	p.ifsTold = true
	p.ifsd = max(1, min(n, c.opts.MaxIFSD))
	c.say(block{0xE1, b.inf})
}

// takeOwn takes the S(requests) of the family.
func (c *Chip) takeOwn(b block) {
	what, known := c.opts.Family.requests[b.pcb]
	if !known {
		c.sayR(errOther)
		return
	}
	if what&resets != 0 {
		as, stale := c.check, c.brain.stale // the response has the checksum of the request
		c.restart(0)
		c.check = as
		if c.opts.Interface {
			c.brain.stale = stale
		}
	}
	answer := block{b.pcb | 0x20, nil}
	if what&says != 0 {
		answer.inf = c.hello()
		c.protocol.telling = true
	}
	if what&resetsThen != 0 {
		c.brain.abandon()
		c.thenBoot = true
	}
	if what&sleepsDeep != 0 {
		c.brain.abandon()
		c.thenDeep = true
	}
	c.say(answer)
}

// handleBare is the protocol of the grid boards.
func (c *Chip) handleBare(b block, ok bool) {
	switch {
	case !ok:
		c.say(block{0x83, nil})
	case b.pcb == 0xC1:
		c.protocol.lastBare = nil
		c.execute(b.inf)
	case c.protocol.lastBare != nil:
		c.say(*c.protocol.lastBare)
	default:
		c.say(block{0x83, nil})
	}
}

// reply sends an answer of the brain.
func (c *Chip) reply(answer []byte) {
	p := &c.protocol
	if c.opts.Family.bare {
		p.lastBare = &block{0xE1, answer}
		c.say(*p.lastBare)
		return
	}
	p.answer = answer
	c.sayNext()
}
