package boards

import (
	"fmt"
	"slices"
	"strings"
)

// plan is a wiring with the bus of the board that it is on.
type plan struct {
	*Wiring
	bus   *bus // nil for a device file
	route route
}

// plans finds the buses. Wirings whose bus is not there are refused and left
// out.
func (b *Board) plans(ws []Wiring) (ps []plan, refused []*Refusal) {
	for i := range ws {
		p := plan{Wiring: &ws[i]}
		if r := b.locate(&p); r != nil {
			refused = append(refused, r)
			continue
		}
		ps = append(ps, p)
	}
	return ps, refused
}

// locate finds the bus and the route of a plan.
func (b *Board) locate(p *plan) *Refusal {
	if p.Bus == "" {
		b.recognize(p)
		return nil
	}
	if b.model == nil {
		return refuse(p.Wiring, fmt.Sprintf("%s is no Raspberry Pi that is known, so it has no bus %q", b, p.Bus),
			fmt.Sprintf("name the device file: device = %q", busPrefix[p.Driver].device+"1"))
	}
	var ok bool
	if p.bus, ok = b.model.chip.bus(p.Bus); !ok {
		k := kinds[p.Driver]
		return refuse(p.Wiring, fmt.Sprintf("a %s has no %s", b.model.Title, p.Bus), "it has "+b.model.chip.names(k))
	}
	at := 0
	if p.Pins != nil {
		at = slices.IndexFunc(p.bus.routes, func(r route) bool { return slices.Equal(r.pins, p.Pins) })
	}
	if at < 0 {
		return refuse(p.Wiring, fmt.Sprintf("%s cannot be led to %s", p.Bus, pinList(p.Pins)), "it can be led to "+p.bus.places())
	}
	p.route = p.bus.routes[at]
	return nil
}

// recognize finds the bus behind a device file, so that its pins and its other
// chips count. Where a bus can be led to several places nothing tells which one
// it is, and it is taken as any device.
func (b *Board) recognize(p *plan) {
	if b.model == nil {
		return
	}
	for i := range b.model.chip.buses {
		bus := &b.model.chip.buses[i]
		if bus.kind != kinds[p.Driver] || len(bus.routes) > 1 {
			continue
		}
		cs, ok := b.behind(bus, p.Device)
		if !ok {
			continue
		}
		w := *p.Wiring
		w.ChipSelect = cs
		p.Wiring, p.bus, p.route = &w, bus, bus.routes[0]
		return
	}
}

// behind tells whether a device file is a bus's, and of which chip select.
func (b *Board) behind(u *bus, device string) (cs int, ok bool) {
	switch u.kind {
	case spiBus:
		if digits, found := strings.CutPrefix(device, u.device); found {
			cs, err := parseNumber(digits, len(u.cs)-1)
			return cs, err == nil
		}
		return 0, false
	case uartBus:
		tty, found := b.ttyNow(u)
		return 0, found && tty == device
	}
	return 0, u.device == device
}

// place is what two plans share that are on one bus.
func (p *plan) place() string {
	if p.bus != nil {
		return p.bus.name
	}
	return p.Device
}

var kinds = map[string]kind{I2C: i2cBus, SPI: spiBus, ISO7816: uartBus}

// places lists the pins that a bus can be led to.
func (b *bus) places() string {
	text := pinList(b.routes[0].pins)
	for _, r := range b.routes[1:] {
		text += " or " + pinList(r.pins)
	}
	return text
}

// selects is how many chip selects of an SPI the plans need.
func selects(ps []plan, b *bus) int {
	n := 0
	for _, p := range ps {
		if p.bus == b {
			n = max(n, p.ChipSelect+1)
		}
	}
	return min(n, len(b.cs))
}

// uses are the pins that a plan has: those of its bus, its chip selects, its
// lines.
func (p *plan) uses(all []plan) []use {
	uses := p.lines()
	if p.bus == nil {
		return uses
	}
	for _, pin := range p.route.pins {
		uses = append(uses, use{pin, p.bus.name, p.Name})
	}
	for _, pin := range p.bus.cs[:selects(all, p.bus)] {
		uses = append(uses, use{pin, p.bus.name, p.Name})
	}
	return uses
}

// taken are all pins that the plans have.
func taken(ps []plan) map[Pin]bool {
	t := make(map[Pin]bool)
	for i := range ps {
		for _, u := range ps[i].uses(ps) {
			t[u.pin] = true
		}
	}
	return t
}
