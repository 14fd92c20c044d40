package t1

import "bytes"

// EDC is the kind of the error detection code at the end of a block.
type EDC uint8

const (
	LRC           EDC = iota // exclusive-or of all bytes, 1 byte
	LRCWithoutNAD            // the same with the NAD taken as 00
	CRCHigh                  // CRC-16/X-25 (ISO/IEC 13239), the high byte first
	CRCLow                   // the same, the low byte first
	CRCPlain                 // without the final inversion, the high byte first
)

// size is the number of bytes of the code.
func (k EDC) size() int {
	if k == LRC || k == LRCWithoutNAD {
		return 1
	}
	return 2
}

// append puts the code of block, which starts with the NAD, behind dst.
func (k EDC) append(dst, block []byte) []byte {
	switch k {
	case LRC:
		return append(dst, lrc(block))
	case LRCWithoutNAD:
		return append(dst, lrc(block[1:]))
	}
	sum := crc(block)
	switch k {
	case CRCLow:
		return append(dst, byte(^sum), byte(^sum>>8))
	case CRCPlain:
		return append(dst, byte(sum>>8), byte(sum))
	}
	return append(dst, byte(^sum>>8), byte(^sum))
}

func lrc(b []byte) byte {
	var sum byte
	for _, v := range b {
		sum ^= v
	}
	return sum
}

// crcTable is the reflected polynomial 8408 for every byte.
var crcTable = func() (table [256]uint16) {
	for i := range table {
		sum := uint16(i)
		for range 8 {
			if sum&1 != 0 {
				sum = sum>>1 ^ 0x8408
			} else {
				sum >>= 1
			}
		}
		table[i] = sum
	}
	return table
}()

// crc is the register after b, from FFFF, before the final inversion.
func crc(b []byte) uint16 {
	sum := uint16(0xFFFF)
	for _, v := range b {
		sum = sum>>8 ^ crcTable[byte(sum)^v]
	}
	return sum
}

// Check tells whether sum is the code of b, which begins with the NAD.
func (k EDC) Check(b, sum []byte) bool {
	var room [2]byte
	return len(b) > 0 && bytes.Equal(k.append(room[:0], b), sum)
}
