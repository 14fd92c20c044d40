package apdu

import "slices"

// Protocols are the transmission protocols T that are offered, in the order
// of the answer to reset and each once; T=0 if none is named (ISO/IEC 7816-3,
// 8.2.3). The first is the one spoken without PPS in negotiable mode.
func (a ATR) Protocols() []int {
	var all []int
	for i, g := range a.Groups {
		if i > 0 && g.T != 15 && !slices.Contains(all, g.T) {
			all = append(all, g.T)
		}
	}
	if all == nil {
		return []int{0}
	}
	return all
}

// Offers tells whether protocol t is among [ATR.Protocols].
func (a ATR) Offers(t int) bool { return slices.Contains(a.Protocols(), t) }

// group is group i, from 1; empty if there is none.
func (a ATR) group(i int) InterfaceGroup {
	if i > len(a.Groups) {
		return InterfaceGroup{}
	}
	return a.Groups[i-1]
}

// first is the first group behind a TD that is specific to protocol t, or for
// t = 15 global: the third or a later one. Only the first TA, TB and TC for a
// protocol count, and they may stand in different groups.
func (a ATR) first(t int) InterfaceGroup {
	found := InterfaceGroup{T: t}
	for i, g := range a.Groups {
		if i < 2 || g.T != t {
			continue
		}
		for _, b := range []struct{ to, from *InterfaceByte }{{&found.TA, &g.TA}, {&found.TB, &g.TB}, {&found.TC, &g.TC}} {
			if !b.to.Present {
				*b.to = *b.from
			}
		}
	}
	return found
}

// Rate is what TA(1) or a PPS1 byte codes (ISO/IEC 7816-3, 8.3, tables 7 and
// 8). A reserved code gives 0.
type Rate struct {
	Fi   int // clock rate conversion integer, clocks
	Di   int // baud rate adjustment integer; an etu is Fi/Di clocks
	FMax int // the highest clock frequency that the card takes, Hz
}

var (
	fiTable   = [16]int{372, 372, 558, 744, 1116, 1488, 1860, 0, 0, 512, 768, 1024, 1536, 2048, 0, 0}
	fmaxTable = [16]int{4e6, 5e6, 6e6, 8e6, 12e6, 16e6, 20e6, 0, 0, 5e6, 75e5, 10e6, 15e6, 20e6, 0, 0}
	diTable   = [16]int{0, 1, 2, 4, 8, 16, 32, 64, 12, 20, 0, 0, 0, 0, 0, 0}
)

// ParseRate reads a byte of the form of TA(1).
func ParseRate(ta1 byte) Rate {
	return Rate{Fi: fiTable[ta1>>4], Di: diTable[ta1&0x0F], FMax: fmaxTable[ta1>>4]}
}

// Rate is what TA(1) says; 372, 1 and 5 MHz if it is absent. In negotiable
// mode the card speaks with Fi 372 and Di 1 until a PPS exchange.
func (a ATR) Rate() Rate { return ParseRate(a.group(1).TA.or(0x11)) }

// ExtraGuardTime is N of TC(1), 0 if it is absent: extra time between
// characters to the card in etu, 255 for the shortest that the protocol has
// (ISO/IEC 7816-3, 8.3).
func (a ATR) ExtraGuardTime() int { return int(a.group(1).TC.or(0)) }

// SpecificMode is what TA(2) says: the card speaks one protocol and takes no
// PPS (ISO/IEC 7816-3, 8.3).
type SpecificMode struct {
	T        int  // the protocol
	Fixed    bool // a warm reset does not bring the negotiable mode
	Implicit bool // Fi and Di are agreed elsewhere; else TA(1) has them
}

// Specific gives the specific mode; false is the negotiable mode.
func (a ATR) Specific() (SpecificMode, bool) {
	ta := a.group(2).TA
	v := ta.Value
	return SpecificMode{T: int(v & 0x0F), Fixed: v&0x80 != 0, Implicit: v&0x10 != 0}, ta.Present
}

// T0WI is the waiting time integer of T=0 in TC(2), 10 if it is absent
// (ISO/IEC 7816-3, 10.2). The waiting time is WI * 960 * Fi clocks.
func (a ATR) T0WI() int { return int(a.group(2).TC.or(10)) }

// T1Parameters are the specific interface bytes of T=1 (ISO/IEC 7816-3, 11.4).
type T1Parameters struct {
	IFSC int  // the most INF bytes in a block to the card; 0 and 255 are reserved
	CWI  int  // character waiting time integer: 11 + 2^CWI etu
	BWI  int  // block waiting time integer: 11 etu and 2^BWI * 960 * 372 clocks
	CRC  bool // the error detection code is a CRC of 2 bytes; else an LRC
}

// T1 gives the parameters of T=1, absent ones by their defaults: IFSC 32, CWI
// 13, BWI 4, LRC.
func (a ATR) T1() T1Parameters {
	g := a.first(1)
	tb := g.TB.or(0x4D)
	return T1Parameters{
		IFSC: int(g.TA.or(32)), CWI: int(tb & 0x0F), BWI: int(tb >> 4),
		CRC: g.TC.or(0)&0x01 != 0,
	}
}

// ClockStop is how the clock may be stopped (ISO/IEC 7816-3, 8.3, X of the
// first TA for T=15).
type ClockStop uint8

// The values are those of the standard.
const (
	ClockStopNo   ClockStop = iota // not supported
	ClockStopLow                   // state L
	ClockStopHigh                  // state H
	ClockStopAny                   // no preference
)

// String says it in words.
func (c ClockStop) String() string {
	return [...]string{"not supported", "in state low", "in state high", "in either state"}[c&3]
}

// ClockStop gives the clock stop indicator, [ClockStopNo] if it is absent.
func (a ATR) ClockStop() ClockStop { return ClockStop(a.first(15).TA.or(0x01) >> 6) }

// The classes of operating conditions (ISO/IEC 7816-3, 5.1.3) as bits.
const (
	ClassA = 1 << iota // 5 V
	ClassB             // 3 V
	ClassC             // 1.8 V
)

// Classes are the bits [ClassA], [ClassB] and [ClassC] that the card takes, of
// the first TA for T=15; ClassA if it is absent. Other bits are reserved.
func (a ATR) Classes() byte { return a.first(15).TA.or(ClassA) & 0x3F }

// SPU is the first TB for T=15: whether and how the card uses contact C6
// (ISO/IEC 7816-3, 8.3). 0 is not at all.
func (a ATR) SPU() byte { return a.first(15).TB.or(0) }
