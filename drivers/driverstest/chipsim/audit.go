package chipsim

import (
	"fmt"
	"slices"
	"time"
)

// audit watches the host.
type audit struct {
	end     time.Time // of the last access
	wrote   bool      // it was a write
	looked  bool      // it was a read that found nothing
	found   []string
	traffic Traffic
}

// Traffic is what went over the wire to and from a chip.
type Traffic struct {
	Accesses int
	Looks    int // of them reads that found nothing
	Bytes    int
	Wire     time.Duration // in which bits moved
}

// maxFindings bounds what an audit keeps.
const maxFindings = 20

func (a *audit) report(format string, args ...any) {
	if len(a.found) < maxFindings {
		a.found = append(a.found, fmt.Sprintf(format, args...))
	}
}

// begin judges an access of n bytes that begins now.
func (c *Chip) begin(write bool, n int, clock int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if c.deep {
		c.deep, c.told, c.wakes = false, false, true
		c.restart(c.opts.Boot)
	}
	if c.slept = c.fallenAsleep(); c.slept {
		c.note("wakes", nil)
		c.bootAt, c.wakes = now.Add(c.opts.Wake), true
		return
	}
	if c.wakes && now.Before(c.bootAt) && c.opts.Wire == I2C {
		return // on I2C it tells nobody how long that takes, and does not acknowledge
	}
	c.wakes = false
	if c.held || now.Before(c.bootAt) && c.selfResets == 0 {
		c.audit.report("access %v before the chip listens", c.bootAt.Sub(now))
		return
	}
	limits, a := c.limits(), &c.audit
	least := limits.guard
	if a.wrote && !write {
		least = max(least, limits.turn)
	} else if write && !a.wrote {
		least = max(least, limits.back)
	}
	switch pause := now.Sub(a.end); {
	case clock > limits.clock:
		a.report("clock of %d Hz, %d at most", clock, limits.clock)
	case limits.access > 0 && n > limits.access:
		a.report("access of %d bytes, %d at most", n, limits.access)
	case !a.end.IsZero() && pause < least:
		a.report("access %v after the last, %v at least", pause, least)
	case a.looked && !write && pause < limits.poll:
		a.report("look %v after the last, %v at least", pause, limits.poll)
	}
}

// finish notes an access that ends now.
func (c *Chip) finish(write, found bool, n int, wire time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := &c.audit
	c.slept = false
	a.end, a.wrote, a.looked = time.Now(), write, !write && !found
	a.traffic.Accesses++
	a.traffic.Bytes += n
	a.traffic.Wire += wire
	if a.looked {
		a.traffic.Looks++
	}
}

// Audit is what the host did against the rules so far, at most 20 findings.
func (c *Chip) Audit() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.audit.found)
}

// Traffic is what went over the wire since the last call.
func (c *Chip) Traffic() Traffic {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.audit.traffic
	c.audit.traffic = Traffic{}
	return t
}
