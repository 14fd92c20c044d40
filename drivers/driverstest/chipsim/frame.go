package chipsim

import "bytes"

// block is what stands between NAD and check field.
type block struct {
	pcb byte
	inf []byte
}

// encode frames a block of the chip.
func (c *Chip) encode(b block) []byte {
	f := c.opts.Family
	out := []byte{f.toHost, b.pcb}
	n := len(b.inf)
	switch {
	case f.lenSize == 2:
		out = put16(out, n)
	case f.longLen && n > 254:
		out = put16(append(out, 0xFF), n)
	default:
		out = append(out, byte(n))
	}
	out = append(out, b.inf...)
	return append(out, c.check(out)...)
}

// size is how many bytes the block has that begins with b, 0 if b is too short
// to tell.
func (c *Chip) size(b []byte) int {
	f := c.opts.Family
	tail := len(c.check([]byte{0}))
	switch {
	case f.lenSize == 2 && len(b) >= 4:
		return 4 + int(b[2])<<8 + int(b[3]) + tail
	case f.lenSize == 1 && f.longLen && len(b) >= 5 && b[2] == 0xFF:
		return 5 + int(b[3])<<8 + int(b[4]) + tail
	case f.lenSize == 1 && len(b) >= 3 && !(f.longLen && b[2] == 0xFF):
		return 3 + int(b[2]) + tail
	}
	return 0
}

// decode reads a whole block with the NAD that is wanted.
func (c *Chip) decode(nad byte, b []byte) (block, bool) {
	n := c.size(b)
	if n == 0 || n != len(b) || b[0] != nad {
		return block{}, false
	}
	tail := len(c.check([]byte{0}))
	if !bytes.Equal(c.check(b[:n-tail]), b[n-tail:]) {
		return block{}, false
	}
	head := 2 + c.opts.Family.lenSize
	if c.opts.Family.longLen && b[2] == 0xFF {
		head = 5
	}
	return block{b[1], b[head : n-tail]}, true
}

// misleads tells whether a host would take the damaged bytes for a block: its
// check field cannot see every damage, and a test must not ask for the
// impossible. On SPI a host looks for a block's beginning in all of a look.
func (c *Chip) misleads(b []byte) bool {
	for len(b) > 0 && (b[0] == 0x00 || b[0] == 0xFF) {
		b = b[1:]
	}
	starts := 1
	if c.opts.Wire == SPI {
		starts = 2 + c.opts.Family.lenSize + 2
	}
	for at := range min(starts, len(b)) {
		if c.readsAsBlock(b[at:]) {
			return true
		}
	}
	return false
}

// readsAsBlock tells whether b begins with a block, idle bytes behind it
// included.
func (c *Chip) readsAsBlock(b []byte) bool {
	const (
		head    = 5               // a longer one no family has
		longest = head + 4089 + 2 // likewise
	)
	padded := append(bytes.Clone(b), bytes.Repeat([]byte{c.opts.IdleByte}, head)...)
	n := c.size(padded)
	if n == 0 || n > longest {
		return false
	}
	if n > len(padded) {
		padded = append(padded, bytes.Repeat([]byte{c.opts.IdleByte}, n-len(padded))...)
	}
	_, ok := c.decode(c.opts.Family.toHost, padded[:n])
	return ok
}
