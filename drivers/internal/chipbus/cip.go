package chipbus

import "fmt"

// Bounds of GPC_SPE_172: the least sizes of the parameter fields.
const (
	minPLPSPI = 12
	minPLPI2C = 8
	minDLLP   = 4
	maxIFSC   = 4089
)

// ParseCIP reads the communication interface parameters of GPC_SPE_172, the
// response to S(CIP):
//
//	PVER(1) IIN length(1) IIN PLID(1) PLP length(1) PLP DLLP length(1) DLLP HB length(1) HB
//	PLP of SPI   configuration(1) PWT(1, ms) MCF(2, kHz) PST(1, ms) MPOT(1, 100 us)
//	             SEGT(2, us) SEAL(2, bytes) WUT(2, us)
//	PLP of I2C   configuration(1) PWT(1, ms) MCF(2, kHz) PST(1, ms) MPOT(1, 100 us) RWGT(2, us)
//	DLLP         BWT(2, ms) IFSC(2, bytes)
//
// Numbers have the high byte first; a PLP or DLLP may be longer. A zero keeps
// the default. The version is not looked at: NXP's chips say 00, and Infineon's
// host does not look either.
func ParseCIP(b []byte, kind Kind, defaults Timing) (Identity, error) {
	id := Identity{Raw: append([]byte(nil), b...), Timing: defaults}
	f := fields{rest: id.Raw}
	f.byte() // PVER
	id.Vendor = f.counted()
	plid := Kind(f.byte())
	plp, dllp := f.counted(), f.counted()
	id.Historical = f.counted()
	minPLP := minPLPSPI
	if kind == I2C {
		minPLP = minPLPI2C
	}
	switch {
	case f.bad || len(f.rest) > 0:
		return Identity{}, fmt.Errorf("%w: CIP %X: the lengths of its fields do not add up to %d bytes", ErrIdentity, b, len(b))
	case plid != kind:
		return Identity{}, fmt.Errorf("%w: CIP %X: it is for bus kind %d, this is %d", ErrIdentity, b, plid, kind)
	case len(plp) < minPLP || len(dllp) < minDLLP:
		return Identity{}, fmt.Errorf("%w: CIP %X: PLP of %d bytes and DLLP of %d, at least %d and %d", ErrIdentity, b, len(plp), len(dllp), minPLP, minDLLP)
	}
	id.physical(plp, kind)
	f = fields{rest: dllp}
	id.BWT, id.IFSC = ms(f.uint16()), f.uint16()
	if id.IFSC > maxIFSC {
		return Identity{}, fmt.Errorf("%w: CIP %X: IFSC %d, at most %d", ErrIdentity, b, id.IFSC, maxIFSC)
	}
	return id, nil
}

// physical reads the physical layer parameters.
func (id *Identity) physical(plp []byte, kind Kind) {
	t := &id.Timing
	f := fields{rest: plp[1:]} // configuration is reserved
	replace(&t.Boot, ms(int(f.byte())))
	replace(&t.Clock, int64(f.uint16())*1000)
	replace(&t.Idle, ms(int(f.byte())))
	replace(&t.Poll, 100*us(int(f.byte())))
	t.Guard = us(f.uint16()) // zero is a value: no guard time
	if kind == SPI {
		replace(&t.MaxAccess, f.uint16())
		t.Wake = us(f.uint16())
	}
}
