package chipbus

import (
	"fmt"

	"github.com/cloud-of-se/tses/drivers/internal/t1"
)

// Sizes of an ATP: there is one form.
const (
	sizeATP    = 38
	historical = 22
)

// ParseATP reads the answer to power of an ST54, which it sends as raw bytes
// after a reset pulse, and in the response to S(SWR):
//
//	length(1, of what follows: 25) vendor ID(5) BWT(2, ms) CWT(1) PWT(1, ms)
//	MSF(2, kHz) checksum type(1: 0 LRC, 1 CRC) IFSC(1) historical bytes(22)
//	CRC(2, the low byte first)
func ParseATP(b []byte, defaults Timing) (Identity, error) {
	if len(b) != sizeATP || int(b[0]) != sizeATP-1 {
		return Identity{}, fmt.Errorf("%w: ATP %X: %d bytes with a length byte of %.1X, it has %d and %02X", ErrIdentity, b, len(b), b, sizeATP, sizeATP-1)
	}
	id := Identity{Raw: append([]byte(nil), b...), Timing: defaults, HasEDC: true}
	body := id.Raw[:sizeATP-2]
	if !t1.CRCLow.Check(body, b[sizeATP-2:]) {
		return Identity{}, fmt.Errorf("%w: ATP %X: wrong checksum", ErrIdentity, b)
	}
	f := fields{rest: body[1:]}
	id.Vendor = f.take(5)
	id.BWT = ms(f.uint16())
	f.byte() // CWT: characters come by the host's clock
	replace(&id.Timing.Boot, ms(int(f.byte())))
	replace(&id.Timing.Clock, int64(f.uint16())*1000)
	kind := f.byte()
	id.IFSC = int(f.byte())
	id.Historical = filled(f.take(historical))
	switch kind {
	case 0:
		id.EDC = t1.LRC
	case 1:
		id.EDC = t1.CRCLow
	default:
		return Identity{}, fmt.Errorf("%w: ATP %X: checksum type %d", ErrIdentity, b, kind)
	}
	if id.IFSC < 1 || id.IFSC > 254 {
		return Identity{}, fmt.Errorf("%w: ATP %X: IFSC %d, it is 1 to 254", ErrIdentity, b, id.IFSC)
	}
	return id, nil
}

// filled is a field of fixed size without the zeros that fill it up.
func filled(b []byte) []byte {
	for len(b) > 0 && b[len(b)-1] == 0 {
		b = b[:len(b)-1]
	}
	return b
}
