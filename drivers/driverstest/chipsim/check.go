package chipsim

import "math/bits"

// check computes a block's last field from the bytes before it.
type check func(b []byte) []byte

func xorAll(b []byte) []byte {
	var x byte
	for i := range b {
		x ^= b[i]
	}
	return []byte{x}
}

func xorWithoutNAD(b []byte) []byte { return []byte{xorAll(b)[0] ^ b[0]} }

func x25High(b []byte) []byte {
	v := x25(b)
	return []byte{byte(v >> 8), byte(v)}
}

func x25Low(b []byte) []byte {
	v := x25(b)
	return []byte{byte(v), byte(v >> 8)}
}

// x25 is CRC-16/X-25 by long division from the top, unlike the drivers', which
// shift the other way: bits are mirrored on the way in and out.
func x25(b []byte) uint16 {
	reg := uint16(0xFFFF)
	for _, v := range b {
		reg ^= uint16(bits.Reverse8(v)) << 8
		reg = reg<<8 ^ division[reg>>8]
	}
	return ^bits.Reverse16(reg)
}

// division is the remainder of every leading byte.
var division = func() (table [256]uint16) {
	for i := range table {
		reg := uint16(i) << 8
		for range 8 {
			carry := reg&0x8000 != 0
			reg <<= 1
			if carry {
				reg ^= 0x1021
			}
		}
		table[i] = reg
	}
	return table
}()
