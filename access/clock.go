package access

import "time"

// Clock is what a machine knows of the time, and how sure it is.
type Clock struct {
	// Now is what the clock says.
	Now time.Time
	// Proven says that Now is the real time as far as this machine can find out.
	// Else it is what an unknown server has said, or worse.
	Proven bool
	// Evidence is a time that has passed for certain, whatever Now is: what the
	// owner has signed and the machine has lived through says so. Where it is
	// proven it plays no part.
	Evidence time.Time
}

// SystemClock is that of a machine whose operator sees to its clock.
func SystemClock() Clock { return Clock{Now: time.Now(), Proven: true} }

// Judges is the time by which an expiry is judged for the holder of these planes.
//
// A proven clock judges everybody. One that is not can have been set by anybody
// who forges time, years ahead too: who administrates gets in then as long as the
// credential cannot have expired for certain, for nobody else can put the box
// right. That lets in an administrator whose credential has expired since, for as
// long as nobody proves the time; it can be revoked, which asks for no clock.
// Users are judged by the clock as it is: what they lose by a forged time they
// have again with the right one, and what they could do with an expired
// credential is not undone.
func (c Clock) Judges(p Plane) time.Time {
	if !c.Proven && p&Administrative != 0 && c.Evidence.Before(c.Now) {
		return c.Evidence
	}
	return c.Now
}
