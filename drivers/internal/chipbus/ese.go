package chipbus

import (
	"fmt"

	"github.com/cloud-of-se/tses/drivers/internal/t1"
)

// minParameters is the size of the parameters of NXP's eSE; newer firmware has
// more behind them.
const minParameters = 19

// Capability bits of NXP's eSE.
const longBlocks = 1 << 3 // INF fields of 255 bytes and more

// ParseeSE reads what an embedded secure element of NXP answers to S(interface
// reset). SN100 and later:
//
//	vendor ID(5) data link layer(1) BGT(2, ms) BWT(2, ms) maximum clock(2, kHz)
//	checksum(1: 0 LRC, 1 CRC) default IFSC(1) channels(1) maximum IFSC(2)
//	capabilities(2) [channel(1) OS type(1) ...]
//
// Older firmware tells secure timers, tags F1 to F3, and PN80T nothing; both say
// nothing about how they want to be spoken to. There are no historical bytes in
// any of them. A zero keeps the default.
func ParseeSE(b []byte, defaults Timing) (Identity, error) {
	id := Identity{Raw: append([]byte(nil), b...), Timing: defaults}
	switch {
	case len(b) == 0 || timers(b):
		return id, nil
	case len(b) < minParameters:
		return Identity{}, fmt.Errorf("%w: eSE parameters %X: %d bytes, there are at least %d, or timers, or none", ErrIdentity, b, len(b), minParameters)
	}
	f := fields{rest: id.Raw}
	id.Vendor = f.take(5)
	f.byte() // the data link layer: T=1
	id.Timing.Turn = ms(f.uint16())
	id.Timing.Back = id.Timing.Turn
	id.BWT = ms(f.uint16())
	replace(&id.Timing.Clock, int64(f.uint16())*1000)
	kind := f.byte()
	id.IFSC = min(int(f.byte()), 254)
	f.byte() // logical connections: one is used
	id.MaxIFSC = f.uint16()
	if f.uint16()&longBlocks == 0 {
		id.MaxIFSC = min(id.MaxIFSC, 254)
	}
	switch kind {
	case 0:
	case 1:
		id.EDC, id.HasEDC = t1.CRCLow, true
	default:
		return Identity{}, fmt.Errorf("%w: eSE parameters %X: checksum type %d", ErrIdentity, b, kind)
	}
	return id, nil
}

// timers tells whether b are the secure timers of older firmware: TLVs, each
// with a tag and a length of one byte.
func timers(b []byte) bool {
	if b[0] < 0xF1 || b[0] > 0xF3 {
		return false
	}
	f := fields{rest: b}
	for len(f.rest) > 0 {
		f.byte()
		f.counted()
	}
	return !f.bad
}
