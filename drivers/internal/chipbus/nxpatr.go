package chipbus

import "fmt"

// ParseNXPATR reads the ATR of NXP UM11225, the response to its S(interface
// soft reset):
//
//	PVER(1) VID(5) DLLP length(1) DLLP PLID(1) PLP length(1) PLP HB length(1) HB
//	DLLP         BWT(2, ms) IFSC(2, bytes)
//	PLP of I2C   MCF(2, kHz) configuration(1) MPOT(1, ms) RFU(3) SEGT(2, us) WUT(2, us)
func ParseNXPATR(b []byte, defaults Timing) (Identity, error) {
	id := Identity{Raw: append([]byte(nil), b...), Timing: defaults}
	f := fields{rest: id.Raw}
	f.byte() // protocol version
	id.Vendor = f.take(5)
	dllp := fields{rest: f.counted()}
	plid := Kind(f.byte())
	plp := fields{rest: f.counted()}
	id.Historical = f.counted()
	if f.bad || len(f.rest) > 0 {
		return Identity{}, fmt.Errorf("%w: ATR %X: the lengths of its fields do not add up to %d bytes", ErrIdentity, b, len(b))
	}
	id.BWT, id.IFSC = ms(dllp.uint16()), dllp.uint16()
	t := &id.Timing
	replace(&t.Clock, int64(plp.uint16())*1000)
	plp.byte() // configuration
	replace(&t.Poll, ms(int(plp.byte())))
	plp.take(3)
	t.Guard = us(plp.uint16())
	t.Wake = us(plp.uint16())
	switch {
	case dllp.bad || plp.bad:
		return Identity{}, fmt.Errorf("%w: ATR %X: DLLP or PLP is too short", ErrIdentity, b)
	case plid != I2C:
		return Identity{}, fmt.Errorf("%w: ATR %X: it is for bus kind %d", ErrIdentity, b, plid)
	case id.IFSC > 254:
		return Identity{}, fmt.Errorf("%w: ATR %X: IFSC %d, at most 254", ErrIdentity, b, id.IFSC)
	}
	return id, nil
}
