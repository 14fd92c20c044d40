package chipbus

import "time"

// Kind is a kind of bus; the values are the physical layer identifiers (PLID)
// of GPC_SPE_172.
type Kind byte

const (
	SPI Kind = 1
	I2C Kind = 2
)

// Timing is how a chip wants its bus to be used. The names in parentheses are
// those of GPC_SPE_172.
type Timing struct {
	Clock     int64         // highest clock in Hz (MCF)
	Guard     time.Duration // between two accesses (SEGT, RWGT)
	Turn      time.Duration // between a write and the first read, where longer than Guard
	Back      time.Duration // between a read and a write, likewise
	Poll      time.Duration // between two looks for an answer (MPOT)
	MaxAccess int           // most bytes in one access, 0 for any number (SEAL)
	Boot      time.Duration // from power or reset until the chip listens (PWT)
	Idle      time.Duration // unused for this long the chip falls asleep, 0 for never (PST)
	Wake      time.Duration // from the access that wakes it until it listens (WUT)
}

// DefaultTiming is what a chip of a dialect is taken to want before it has said
// so.
func DefaultTiming(dialect string, kind Kind) Timing {
	t := Timing{Clock: 1e6, Guard: 100 * time.Microsecond, Poll: time.Millisecond, Boot: 25 * time.Millisecond}
	switch {
	case dialect == "st54":
		t.Turn, t.Boot = time.Millisecond, 50*time.Millisecond
	case dialect == "thales":
		t.Poll = 2 * time.Millisecond
	case dialect == "iose":
		t.Clock, t.Guard, t.Boot = 100e3, 50*time.Microsecond, 250*time.Millisecond
	case dialect == "um11225":
		t.Boot = 10 * time.Millisecond
	case dialect == "nxp-ese":
	case kind == SPI: // GPC_SPE_172
		t.Guard, t.MaxAccess = 200*time.Microsecond, 16
	case kind == I2C:
		t.Clock, t.Guard = 400e3, 10*time.Microsecond
	}
	return t
}

// guard is the time to keep between an access and the next.
func (t Timing) guard(wrote, writes bool) time.Duration {
	switch {
	case wrote && !writes:
		return max(t.Guard, t.Turn)
	case writes && !wrote:
		return max(t.Guard, t.Back)
	}
	return t.Guard
}

// and is a timing that suits a chip of either.
func (t Timing) and(u Timing) Timing {
	t.Clock = min(t.Clock, u.Clock)
	t.Guard, t.Turn = max(t.Guard, u.Guard), max(t.Turn, u.Turn)
	t.Back, t.Poll = max(t.Back, u.Back), max(t.Poll, u.Poll)
	if t.MaxAccess == 0 || u.MaxAccess > 0 && u.MaxAccess < t.MaxAccess {
		t.MaxAccess = u.MaxAccess
	}
	t.Boot, t.Wake = max(t.Boot, u.Boot), max(t.Wake, u.Wake)
	if t.Idle == 0 || u.Idle > 0 && u.Idle < t.Idle {
		t.Idle = u.Idle
	}
	return t
}
