package chipsim

import "time"

// cip are the parameters of GPC_SPE_172.
func cip(o *Options) []byte {
	plp := []byte{0, msByte(o.Boot)}
	plp = put16(plp, int(o.Clock/1000))
	plp = append(plp, msByte(o.Sleep), byte(o.Poll/(100*time.Microsecond)))
	plp = put16(plp, int(o.Guard/time.Microsecond))
	if o.Wire == SPI {
		plp = put16(plp, o.MaxAccess)
		plp = put16(plp, int(o.Wake/time.Microsecond))
	}
	dllp := put16(put16(nil, int(o.BWT/time.Millisecond)), o.IFSC)
	b := []byte{1, 4, 0x12, 0x34, 0x56, 0x78, byte(o.Wire), byte(len(plp))}
	b = append(append(b, plp...), byte(len(dllp)))
	b = append(append(b, dllp...), byte(len(o.Historical)))
	return append(b, o.Historical...)
}

// nxpATR is the ATR of UM11225; with the defaults it is an SE050's.
func nxpATR(o *Options) []byte {
	b := []byte{0, 0xA0, 0, 0, 3, 0x96, 4}
	b = put16(put16(b, int(o.BWT/time.Millisecond)), o.IFSC)
	b = append(b, 2, 11)
	b = put16(b, int(o.Clock/1000))
	b = append(b, 8, msByte(o.Poll), 0, 0, 0)
	b = put16(put16(b, int(o.Guard/time.Microsecond)), int(o.Wake/time.Microsecond))
	b = append(b, byte(len(o.Historical)))
	return append(b, o.Historical...)
}

// atp is an ST54's answer to power.
func atp(o *Options) []byte {
	kind := byte(1)
	if o.LRC {
		kind = 0
	}
	b := []byte{0, kind, 0x02}
	b = put16(b, int(o.BWT/time.Millisecond))
	b = append(b, 1, msByte(o.Boot))
	b = append(put16(b, int(o.Clock/1000)), byte(o.IFSC))
	b = append(b, o.Historical...)
	b[0] = byte(len(b) + 1)
	return append(b, x25Low(b)...)
}

// isoATR is an answer to reset of ISO/IEC 7816-3 with an IFSC for T=1 in its
// third TA.
func isoATR(o *Options) []byte {
	b := []byte{0x3B, 0x80 | byte(len(o.Historical)), 0x81, 0x11, byte(o.IFSC)}
	b = append(b, o.Historical...)
	return append(b, xorAll(b[1:])...)
}

func put16(b []byte, n int) []byte { return append(b, byte(n>>8), byte(n)) }

func msByte(d time.Duration) byte { return byte(d / time.Millisecond) }
