package boards

import (
	"fmt"
	"slices"
)

// pairs calls f with every two plans.
func (c *checker) pairs(f func(p, q *plan)) {
	for i := range c.plans {
		for j := range c.plans[:i] {
			f(&c.plans[j], &c.plans[i])
		}
	}
}

// both refuses two plans that are in each other's way: which of the two is the
// wrong one only their owner knows.
func (c *checker) both(p, q *plan, why, cure string, lines ...string) {
	c.refuse(p, why, cure, lines...)
	if q != p {
		c.refuse(q, why, cure, lines...)
	}
}

// sharedPlaces finds two chips at one place of a bus.
func (c *checker) sharedPlaces() {
	c.pairs(func(p, q *plan) {
		on := p.place()
		if p.Driver != q.Driver || on != q.place() {
			return
		}
		switch {
		case p.Driver == I2C && p.Address == q.Address:
			c.both(p, q, fmt.Sprintf("%q and %q both have the address 0x%02X on %s", p.Name, q.Name, p.Address, on), "give one of them another address or another bus")
		case p.Driver == SPI && p.ChipSelect == q.ChipSelect && p.Decoder != nil && p.sameDecoder(q):
			if p.Output == q.Output {
				c.both(p, q, fmt.Sprintf("%q and %q are both at output %d of %s", p.Name, q.Name, p.Output, p.decoder()), "give one of them another output")
			}
		case p.Driver == SPI && p.ChipSelect == q.ChipSelect:
			c.both(p, q, fmt.Sprintf("%q and %q both have chip select %d of %s", p.Name, q.Name, p.ChipSelect, on), "give one of them another chip_select or another bus")
		case p.Driver == ISO7816:
			cure, lines := "give one of them another", []string(nil)
			if q.bus != nil {
				cure, lines = c.elsewhere(q)
			}
			c.both(p, q, fmt.Sprintf("%q and %q are both on %s, which takes one card", p.Name, q.Name, on), cure, lines...)
		case p.bus != nil && !slices.Equal(p.route.pins, q.route.pins):
			c.both(p, q, fmt.Sprintf("%s is led to %s for %q and to %s for %q", on, pinList(p.route.pins), p.Name, pinList(q.route.pins), q.Name), "give both the same pins")
		}
	})
}

// sameDecoder tells whether two chips are behind one decoder.
func (p *plan) sameDecoder(q *plan) bool {
	return p.decoder() == q.decoder() && p.Enable == q.Enable
}

// sharedPins finds pins that are for two things.
func (c *checker) sharedPins() {
	first := make(map[Pin]*plan)
	what := make(map[Pin]string)
	for i := range c.plans {
		p := &c.plans[i]
		for _, u := range p.uses(c.plans) {
			q, used := first[u.pin]
			switch {
			case !used:
				first[u.pin], what[u.pin] = p, u.what
			case p.bus != nil && q.bus == p.bus && what[u.pin] == u.what && u.what == p.bus.name:
				// Chips share a bus.
			case p != q && p.sameDecoder(q) && what[u.pin] == u.what && u.what == p.decoder():
				// Chips share a decoder.
			default:
				c.twice(q, p, what[u.pin], u)
			}
		}
	}
}

// twice refuses a pin with two uses. The cure moves the bus that is one of
// them, for a reset or a clock may be soldered.
func (c *checker) twice(q, p *plan, was string, u use) {
	why := fmt.Sprintf("%s is %s of %q and %s of %q", u.pin, was, q.Name, u.what, p.Name)
	for _, on := range []*plan{p, q} {
		if on.bus == nil || on.bus.name != was && on.bus.name != u.what {
			continue
		}
		if cure, lines := c.elsewhere(on); lines != nil {
			c.both(q, p, why, cure, lines...)
			return
		}
	}
	c.both(q, p, why, c.anotherPin())
}

// elsewhere finds the first bus of the same kind whose pins are free.
func (c *checker) elsewhere(p *plan) (cure string, lines []string) {
	busy := taken(c.plans)
	for _, u := range p.uses(c.plans) { // it would leave its bus
		if u.what == p.bus.name {
			delete(busy, u.pin)
		}
	}
	for _, u := range p.lines() {
		busy[u.pin] = true
	}
	chip := c.board.model.chip
	for i := range chip.buses {
		b := &chip.buses[i]
		if b.kind != p.bus.kind || b.noParity || c.inUse(b) {
			continue
		}
		for _, r := range b.routes {
			if isFree(busy, r.pins) && (b.cs == nil || !busy[b.cs[0]]) {
				moved := *p
				moved.bus, moved.route, moved.ChipSelect = b, r, 0
				return fmt.Sprintf("%s is free: bus = %q on %s", b.name, b.name, pinList(r.pins)), c.board.firmwareLines([]plan{moved}, b)
			}
		}
	}
	return "no other " + string(p.bus.kind) + " is free on this board", nil
}

func (c *checker) inUse(b *bus) bool {
	return slices.ContainsFunc(c.plans, func(p plan) bool { return p.bus == b })
}

func isFree(busy map[Pin]bool, pins []Pin) bool {
	return !slices.ContainsFunc(pins, func(p Pin) bool { return busy[p] })
}

// anotherPin names a pin that nothing uses. GPIO0 and 1 belong to the EEPROM of
// a HAT, the others up to 15 to the usual buses.
func (c *checker) anotherPin() string {
	busy := taken(c.plans)
	for n := lastHeader; n > 15; n-- {
		if !busy[GPIO(n)] {
			return fmt.Sprintf("%s is free", GPIO(n))
		}
	}
	return "give one of them another pin"
}

// sharedClocks finds clock generators that are used twice, on two pins; the
// same pin twice is found with the pins.
func (c *checker) sharedClocks() {
	if c.board.model == nil {
		return
	}
	generator := func(p *plan) int {
		for _, o := range c.board.model.chip.clocks {
			if o.pin == p.ClockPin {
				return o.generator
			}
		}
		return -1
	}
	c.pairs(func(p, q *plan) {
		if g := generator(p); g >= 0 && g == generator(q) && p.ClockPin != q.ClockPin {
			c.both(p, q, fmt.Sprintf("GPCLK%d would clock %q on %s and %q on %s, and each starts and stops it", g, p.Name, p.ClockPin.name(), q.Name, q.ClockPin.name()),
				"use "+c.board.model.chip.clockPins()+" of different generators, or an oscillator for one of them")
		}
	})
}
