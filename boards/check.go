package boards

import (
	"fmt"
	"slices"
)

// Check tells which wirings cannot work on the board together, why, and what
// would cure it. Where the board is the machine that this runs on, what its
// kernel has and what its firmware was told counts too. Nothing is opened, and
// no pin is touched.
func (b *Board) Check(ws ...Wiring) []*Refusal {
	ps, refused := b.plans(ws)
	c := &checker{board: b, plans: ps, refused: refused}
	for i := range ps {
		c.bus(&ps[i])
		c.pins(&ps[i])
		c.clock(&ps[i])
	}
	c.sharedPlaces()
	c.sharedPins()
	c.sharedClocks()
	if b.root != nil {
		c.live()
	}
	return c.refused
}

type checker struct {
	board   *Board
	plans   []plan
	refused []*Refusal
}

func (c *checker) refuse(p *plan, why, cure string, lines ...string) {
	c.refused = append(c.refused, refuse(p.Wiring, why, cure, lines...))
}

// bus checks what a bus can do.
func (c *checker) bus(p *plan) {
	b := p.bus
	if b == nil {
		return
	}
	switch {
	case b.noParity:
		cure, lines := c.elsewhere(p)
		c.refuse(p, b.name+" is the mini UART, which has no parity bit, and a card needs one", cure, lines...)
	case b.kind == spiBus && p.ChipSelect >= len(b.cs):
		c.refuse(p, fmt.Sprintf("%s has no chip select %d", b.name, p.ChipSelect), fmt.Sprintf("it has 0 to %d, on %s", len(b.cs)-1, pinList(b.cs)))
	case b.most != 0 && p.Clock > b.most:
		c.refuse(p, fmt.Sprintf("%s cannot do %s", b.name, p.Clock), fmt.Sprintf("its most is %s", b.most))
	case b.kind == uartBus && p.Reset.Modem != "":
		c.refuse(p, fmt.Sprintf("reset = %q: %s has no such line", p.Reset.Modem, b.name), "give a pin, such as reset = \"GPIO17\"")
	case b.kernel != "" && c.board.root == nil:
		c.lacks(p)
	}
}

// lacks says that the bus is there and its kernel driver is not.
func (c *checker) lacks(p *plan) {
	c.refuse(p, fmt.Sprintf("%s of a %s needs the kernel driver %s, which the kernel lacks", p.bus.name, c.board.model.Title, p.bus.kernel),
		"use a Raspberry Pi 3, 4 or Zero 2 W, or an adapter on USB: no line in config.txt cures this")
}

// pins checks that the board has the pins.
func (c *checker) pins(p *plan) {
	lines := p.lines()
	if c.board.model == nil {
		if len(lines) > 0 {
			c.refuse(p, fmt.Sprintf("%s is no Raspberry Pi that is known, so %s (%s) cannot be used", c.board, lines[0].pin.name(), lines[0].what), "leave pins away; a serial adapter has \"RTS\" and \"DTR\"")
		}
		return
	}
	for _, u := range p.uses(c.plans) {
		if !c.board.model.has(u.pin) {
			c.refuse(p, fmt.Sprintf("a %s does not lead out %s (%s)", c.board.model.Title, u.pin.name(), u.what), fmt.Sprintf("its header has GPIO0 to GPIO%d", lastHeader))
		}
	}
}

// clock checks the clock of a card.
func (c *checker) clock(p *plan) {
	if p.Driver != ISO7816 {
		return
	}
	most := mostCardClock
	if p.ClockPin == NoPin {
		most = mostOscillator
	}
	if p.Clock != 0 && (p.Clock < leastCardClock || p.Clock > most) {
		c.refuse(p, fmt.Sprintf("a clock of %s is nothing for a card at its start", p.Clock), fmt.Sprintf("give %s to %s (ISO/IEC 7816-3, 5.2.3)", leastCardClock, most))
		return
	}
	if p.ClockPin == NoPin || c.board.model == nil {
		return
	}
	chip := c.board.model.chip
	if chip.noClocks != "" {
		c.refuse(p, fmt.Sprintf("a %s has no clock for a card: %s", c.board.model.Title, chip.noClocks), "use an oscillator and clock_pin = \"external\"")
		return
	}
	at := slices.IndexFunc(chip.clocks, func(o output) bool { return o.pin == p.ClockPin })
	if at < 0 {
		c.refuse(p, fmt.Sprintf("on a %s no clock that is free comes out at %s", c.board.model.Title, p.ClockPin), "the pins are "+chip.clockPins())
		return
	}
}

// clockPins lists the outputs: "GPIO4 (GPCLK0), GPIO20 (GPCLK0)".
func (c *chip) clockPins() string {
	text := ""
	for i, o := range c.clocks {
		if i > 0 {
			text += ", "
		}
		text += fmt.Sprintf("%s (GPCLK%d)", o.pin.name(), o.generator)
	}
	return text
}
