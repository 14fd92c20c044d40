package chipbus

import (
	"fmt"

	"github.com/cloud-of-se/tses/drivers/internal/t1"
)

// minATP is an ATP without historical bytes.
const minATP = 1 + 1 + 1 + 2 + 1 + 1 + 2 + 1 + 2

// ParseATP reads the answer to power of an ST54, raw bytes that it sends after
// a reset pulse:
//
//	length(1, of what follows) checksum type(1: 0 LRC, 1 CRC) vendor(1) BWT(2, ms) CWT(1)
//	PWT(1, ms) MSF(2, kHz) IFSC(1) historical bytes CRC(2, the low byte first)
func ParseATP(b []byte, defaults Timing) (Identity, error) {
	if len(b) < minATP || int(b[0]) != len(b)-1 {
		return Identity{}, fmt.Errorf("%w: ATP %X: its length byte does not fit", ErrIdentity, b)
	}
	id := Identity{Raw: append([]byte(nil), b...), Timing: defaults, HasEDC: true}
	body := id.Raw[:len(b)-2]
	if !t1.CRCLow.Check(body, b[len(b)-2:]) {
		return Identity{}, fmt.Errorf("%w: ATP %X: wrong checksum", ErrIdentity, b)
	}
	f := fields{rest: body[1:]}
	switch kind := f.byte(); kind {
	case 0:
		id.EDC = t1.LRC
	case 1:
		id.EDC = t1.CRCLow
	default:
		return Identity{}, fmt.Errorf("%w: ATP %X: checksum type %d", ErrIdentity, b, kind)
	}
	id.Vendor = f.take(1)
	id.BWT = ms(f.uint16())
	f.byte() // CWT: characters come by the host's clock
	replace(&id.Timing.Boot, ms(int(f.byte())))
	replace(&id.Timing.Clock, int64(f.uint16())*1000)
	id.IFSC = int(f.byte())
	id.Historical = f.rest
	if id.IFSC > 254 {
		return Identity{}, fmt.Errorf("%w: ATP %X: IFSC %d, at most 254", ErrIdentity, b, id.IFSC)
	}
	return id, nil
}
