package apdu

import "fmt"

// MaxATR is the largest number of bytes of an answer to reset, TS included
// (ISO/IEC 7816-3, 8.2.1).
const MaxATR = 33

// maxHistorical is the most historical bytes that T0 can announce.
const maxHistorical = 15

// TS, the initial character, as it reads in either convention (ISO/IEC
// 7816-3, 8.1).
const (
	tsDirect  = 0x3B
	tsInverse = 0x3F
)

// ATR is an answer to reset (ISO/IEC 7816-3, 8.2). [ParseATR] reads one;
// [ATR.Append] encodes one that was read or built, with T0, the TD(i) and TCK
// as they follow from the fields. What the interface bytes mean is told by the
// methods.
type ATR struct {
	// Inverse is the convention of TS: 3F inverse, 3B direct. The other bytes
	// are as decoded by that convention.
	Inverse bool

	// Groups are the interface bytes TA(i), TB(i), TC(i) in order of i, from
	// i = 1. A second and further group follows a TD(i-1). An empty slice is
	// the same as one empty group.
	Groups []InterfaceGroup

	// Historical are the historical bytes, at most 15. [ParseHistorical]
	// reads them.
	Historical []byte
}

// InterfaceGroup is TA(i), TB(i) and TC(i).
type InterfaceGroup struct {
	// T is the protocol in TD(i-1), 0 to 15, which the bytes of the third and
	// further groups are for. The first group has none and leaves it 0.
	T          int
	TA, TB, TC InterfaceByte
}

// InterfaceByte is an interface byte, which may be absent.
type InterfaceByte struct {
	Value   byte
	Present bool
}

// Interface is a present interface byte.
func Interface(v byte) InterfaceByte { return InterfaceByte{Value: v, Present: true} }

// or is the value, or the default where the byte is absent.
func (b InterfaceByte) or(absent byte) byte {
	if b.Present {
		return b.Value
	}
	return absent
}

// NewATR is an answer to reset in direct convention with these historical
// bytes that offers these protocols (T=0 alone if there is none) with default
// parameters. More is told by changing its Groups before [ATR.Append].
func NewATR(historical []byte, protocols ...int) ATR {
	a := ATR{Groups: []InterfaceGroup{{}}, Historical: historical}
	if len(protocols) == 1 && protocols[0] == 0 {
		return a
	}
	for _, t := range protocols {
		a.Groups = append(a.Groups, InterfaceGroup{T: t})
	}
	return a
}

// ParseATR reads an answer to reset to its last byte. It refuses another TS,
// bytes missing or left over, more than [MaxATR], T=15 in TD(1), and a TCK that is
// wrong, missing, or present where T=0 is the only protocol (ISO/IEC 7816-3,
// 8.2.5). Reserved values and the order of the protocols are not judged. The
// errors match [ErrMalformed]. Nothing is kept of b.
func ParseATR(b []byte) (ATR, error) {
	if len(b) < 2 || len(b) > MaxATR {
		return ATR{}, malformed("ATR", "%d bytes, it has 2 to %d", len(b), MaxATR)
	}
	if b[0] != tsDirect && b[0] != tsInverse {
		return ATR{}, malformed("ATR", "TS is %02X; 3B is the direct, 3F the inverse convention", b[0])
	}
	a := ATR{Inverse: b[0] == tsInverse}
	rest, err := a.parseGroups(b[1], b[2:])
	if err != nil {
		return ATR{}, err
	}
	k := int(b[1] & 0x0F)
	if len(rest) < k {
		return ATR{}, malformed("ATR", "T0 announces %d historical bytes, %d are there", k, len(rest))
	}
	a.Historical = append([]byte(nil), rest[:k]...)
	if err := a.checkTCK(rest[k:], b[1:]); err != nil {
		return ATR{}, err
	}
	return a, nil
}

// parseGroups reads the interface bytes. The high half of T0 and of each TD
// tells which follow.
func (a *ATR) parseGroups(announce byte, b []byte) (rest []byte, err error) {
	group := InterfaceGroup{}
	for i := 1; ; i++ {
		var td InterfaceByte
		for bit, to := range []*InterfaceByte{&group.TA, &group.TB, &group.TC, &td} {
			if announce&(0x10<<bit) == 0 {
				continue
			}
			if len(b) == 0 {
				return nil, malformed("ATR", "it ends before T%c(%d)", "ABCD"[bit], i)
			}
			*to, b = Interface(b[0]), b[1:]
		}
		a.Groups = append(a.Groups, group)
		if !td.Present {
			return b, nil
		}
		announce, group = td.Value, InterfaceGroup{T: int(td.Value & 0x0F)}
		if i == 1 && group.T == 15 {
			return nil, malformed("ATR", "TD(1) says T=15, which is no protocol")
		}
	}
}

// checkTCK judges what follows the historical bytes; covered is T0 to the end.
func (a *ATR) checkTCK(tail, covered []byte) error {
	want := 0
	if a.needsTCK() {
		want = 1
	}
	switch {
	case len(tail) < want:
		return malformed("ATR", "TCK is missing, and T=0 is not the only protocol")
	case len(tail) > want:
		return malformed("ATR", "%d bytes left over at the end", len(tail)-want)
	case want == 1 && xor(covered) != 0:
		return malformed("ATR", "TCK is %02X, the other bytes make it %02X", tail[0], xor(covered)^tail[0])
	}
	return nil
}

// needsTCK: TCK is absent if T=0 alone is indicated, by default or by TD(i).
func (a *ATR) needsTCK() bool {
	for i, g := range a.Groups {
		if i > 0 && g.T != 0 {
			return true
		}
	}
	return false
}

func xor(b []byte) byte {
	var x byte
	for _, v := range b {
		x ^= v
	}
	return x
}

// Append encodes the answer to reset behind dst. The errors match
// [ErrMalformed] and say which field is out of its range.
func (a ATR) Append(dst []byte) ([]byte, error) {
	if len(a.Historical) > maxHistorical {
		return dst, malformed("ATR", "%d historical bytes, %d are the most", len(a.Historical), maxHistorical)
	}
	groups := a.Groups
	if len(groups) == 0 {
		groups = []InterfaceGroup{{}}
	}
	ts := byte(tsDirect)
	if a.Inverse {
		ts = tsInverse
	}
	b := []byte{ts}
	low := byte(len(a.Historical)) // of T0; then T of TD(i)
	for i, g := range groups {
		if err := g.check(i + 1); err != nil {
			return dst, err
		}
		if i > 0 {
			low = byte(g.T)
		}
		b = g.append(b, low, i+1 < len(groups))
	}
	b = append(b, a.Historical...)
	if a.needsTCK() {
		b = append(b, xor(b[1:]))
	}
	if len(b) > MaxATR {
		return dst, malformed("ATR", "%d bytes, %d are the most", len(b), MaxATR)
	}
	return append(dst, b...), nil
}

func (g InterfaceGroup) check(i int) error {
	switch {
	case g.T < 0 || g.T > 15:
		return malformed("ATR", "T=%d in TD(%d), it is 0 to 15", g.T, i-1)
	case i == 1 && g.T != 0:
		return malformed("ATR", "the first group has T=%d, and no TD that could say it", g.T)
	case i == 2 && g.T == 15:
		return malformed("ATR", "TD(1) says T=15, which is no protocol")
	}
	return nil
}

// append encodes the byte that announces the group, T0 or TD(i-1), and the
// group without its TD.
func (g InterfaceGroup) append(b []byte, low byte, more bool) []byte {
	announce := len(b)
	b = append(b, low)
	for bit, from := range []InterfaceByte{g.TA, g.TB, g.TC} {
		if from.Present {
			b[announce] |= 0x10 << bit
			b = append(b, from.Value)
		}
	}
	if more {
		b[announce] |= 0x80
	}
	return b
}

// Bytes is [ATR.Append] to a new slice.
func (a ATR) Bytes() ([]byte, error) { return a.Append(make([]byte, 0, MaxATR)) }

// String is the bytes in upper-case hex digits, or what is wrong with it.
func (a ATR) String() string {
	b, err := a.Bytes()
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%X", b)
}
