package t1

import (
	"errors"
	"fmt"
)

// Errors of a block that came and is of no use. The engine asks for it again.
var (
	ErrChecksum = errors.New("wrong checksum")
	ErrFraming  = errors.New("not a block")
)

// A Block is what a dialect puts between NAD and checksum.
type Block struct {
	PCB byte
	INF []byte
}

// Bits of the PCB (ISO/IEC 7816-3, 11.3.2.2).
const (
	pcbR        = 0x80
	pcbS        = 0xC0
	pcbResponse = 0x20 // of S-blocks
	pcbMore     = 0x20 // of I-blocks: M
	shiftNS     = 6
	shiftNR     = 4
)

// Errors that an R-block tells.
const (
	noError       = 0
	checksumError = 1
	otherError    = 2
)

func iBlock(ns byte, more bool, inf []byte) Block {
	pcb := ns << shiftNS
	if more {
		pcb |= pcbMore
	}
	return Block{pcb, inf}
}

func rBlock(nr, errorCode byte) Block { return Block{pcbR | nr<<shiftNR | errorCode, nil} }

func sRequest(kind byte, inf []byte) Block { return Block{pcbS | kind, inf} }

func sResponse(kind byte, inf []byte) Block { return Block{pcbS | pcbResponse | kind, inf} }

func (b Block) isI() bool        { return b.PCB&0x80 == 0 }
func (b Block) isR() bool        { return b.PCB&0xC0 == pcbR }
func (b Block) isRequest() bool  { return b.PCB&0xE0 == pcbS }
func (b Block) isResponse() bool { return b.PCB&0xE0 == pcbS|pcbResponse }

func (b Block) ns() byte   { return b.PCB >> shiftNS & 1 }
func (b Block) nr() byte   { return b.PCB >> shiftNR & 1 }
func (b Block) more() bool { return b.PCB&pcbMore != 0 }
func (b Block) kind() byte { return b.PCB & 0x1F }

// String shows the kind and never the INF field of an I-block, which may hold
// a PIN or a key.
func (b Block) String() string {
	switch {
	case b.isI() && b.more():
		return fmt.Sprintf("I(%d, more) of %d bytes", b.ns(), len(b.INF))
	case b.isI():
		return fmt.Sprintf("I(%d) of %d bytes", b.ns(), len(b.INF))
	case b.isR():
		return fmt.Sprintf("R(%d, error %d)", b.nr(), b.PCB&0x0F)
	case b.isRequest():
		return fmt.Sprintf("S(%02X request)", b.kind())
	}
	return fmt.Sprintf("S(%02X response)", b.kind())
}

// Append encodes the block behind dst as one to the chip. The INF field is at
// most d.MaxINF bytes.
func (d *Dialect) Append(dst []byte, b Block) []byte { return d.append(dst, d.ToChip, b) }

func (d *Dialect) append(dst []byte, nad byte, b Block) []byte {
	start := len(dst)
	dst = append(dst, nad, b.PCB)
	n := len(b.INF)
	switch {
	case d.Len == Len16:
		dst = append(dst, byte(n>>8), byte(n))
	case d.Len == Len8or16 && n >= 0xFF:
		dst = append(dst, 0xFF, byte(n>>8), byte(n))
	default:
		dst = append(dst, byte(n))
	}
	dst = append(dst, b.INF...)
	return d.EDC.append(dst, dst[start:])
}

// Shortest is the size in bytes of a block without INF, which is the least
// that a chip sends.
func (d *Dialect) Shortest() int {
	if d.Len == Len16 {
		return 4 + d.EDC.size()
	}
	return 3 + d.EDC.size()
}

// Longest is the size in bytes of the longest block.
func (d *Dialect) Longest() int {
	if d.Len == Len8or16 {
		return 5 + d.MaxINF + d.EDC.size()
	}
	return d.Shortest() + d.MaxINF
}

// Size is the size in bytes of the block that starts with b, as its LEN field
// tells it. With ok false, b is too short to tell. The size is not bounded by
// [Dialect.Longest]: a receiver must compare.
func (d *Dialect) Size(b []byte) (size int, ok bool) {
	header, inf, ok := d.header(b)
	return header + inf + d.EDC.size(), ok
}

// header gives the sizes of the prologue and of the INF field.
func (d *Dialect) header(b []byte) (header, inf int, ok bool) {
	switch {
	case d.Len == Len16 && len(b) >= 4:
		return 4, int(b[2])<<8 | int(b[3]), true
	case d.Len == Len8or16 && len(b) >= 3 && b[2] == 0xFF:
		if len(b) < 5 {
			return 0, 0, false
		}
		return 5, int(b[3])<<8 | int(b[4]), true
	case d.Len != Len16 && len(b) >= 3:
		return 3, int(b[2]), true
	}
	return 0, 0, false
}

// Parse reads a block from the chip to its last byte. INF aliases b.
func (d *Dialect) Parse(b []byte) (Block, error) {
	header, inf, ok := d.header(b)
	switch {
	case !ok || len(b) != header+inf+d.EDC.size():
		return Block{}, fmt.Errorf("%w: %d bytes do not fit the LEN field", ErrFraming, len(b))
	case b[0] != d.FromChip:
		return Block{}, fmt.Errorf("%w: NAD %02X instead of %02X", ErrFraming, b[0], d.FromChip)
	case inf > d.MaxINF:
		return Block{}, fmt.Errorf("%w: INF field of %d bytes, %d at most", ErrFraming, inf, d.MaxINF)
	}
	if !d.EDC.Check(b[:header+inf], b[header+inf:]) {
		return Block{}, fmt.Errorf("%w: %X", ErrChecksum, b[header+inf:])
	}
	return Block{b[1], b[header : header+inf]}, nil
}
