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
	b := append([]byte{37}, "STVID"...)
	b = put16(b, int(o.BWT/time.Millisecond))
	b = append(b, 1, msByte(o.Boot))
	b = append(put16(b, int(o.Clock/1000)), kind, byte(o.IFSC))
	b = append(b, o.Historical...)
	b = append(b, make([]byte, 36-len(b))...)
	return append(b, x25Low(b)...)
}

// eSEParameters are those of an SN220, which NXP's host knows by the last byte
// of the vendor ID.
func eSEParameters(o *Options) []byte {
	b := []byte{0xA0, 0, 0, 3, 0x20, 1}
	b = put16(b, int(o.BGT/time.Millisecond))
	b = put16(b, int(o.BWT/time.Millisecond))
	b = put16(b, int(o.Clock/1000))
	kind, capabilities := byte(0), 0x04 // chip reset
	if o.CRC {
		kind = 1
	}
	if o.IFSC > 254 {
		capabilities |= 0x08
	}
	b = append(b, kind, byte(min(o.IFSC, 254)), 1)
	b = put16(put16(b, o.IFSC), capabilities)
	return append(b, 0, 1) // channel 0, JCOP
}

// isoATR is an answer to reset of ISO/IEC 7816-3 with an IFSC for T=1 in its
// third TA, without TS unless that is asked for.
func isoATR(o *Options) []byte {
	b := []byte{0x80 | byte(len(o.Historical)), 0x81, 0x11, byte(o.IFSC)}
	b = append(b, o.Historical...)
	b = append(b, xorAll(b)...)
	if o.TS {
		b = append([]byte{0x3B}, b...)
	}
	return b
}

func put16(b []byte, n int) []byte { return append(b, byte(n>>8), byte(n)) }

func msByte(d time.Duration) byte { return byte(d / time.Millisecond) }
