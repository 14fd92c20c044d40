package boards

import (
	"fmt"
	"strings"
)

// Signal is one line to connect.
type Signal struct {
	Name  string // at the chip or the card: "SDA", "MOSI", "RST"
	Place string // at the board or the adapter: "GPIO2 (pin 3)", "RTS, active low"
}

// Signals lists what of a wiring is to be connected to the board, its bus first,
// so that people can be shown it. The error is that of a bus that the board does
// not have; whether the wiring can work says [Board.Check].
func (b *Board) Signals(w Wiring) ([]Signal, error) {
	p := plan{Wiring: &w}
	if r := b.locate(&p); r != nil {
		return nil, r
	}
	var all []Signal
	if p.bus != nil {
		names := busSignals[p.bus.kind]
		for i, pin := range p.route.pins {
			all = append(all, Signal{names[i], pin.String()})
		}
		if p.bus.kind == spiBus && p.ChipSelect < len(p.bus.cs) {
			all = append(all, Signal{fmt.Sprintf("chip select %d", p.ChipSelect), p.bus.cs[p.ChipSelect].String()})
		}
	} else {
		all = append(all, Signal{"bus", w.Device})
	}
	for i, pin := range w.Decoder {
		all = append(all, Signal{fmt.Sprintf("decoder A%d", i), pin.String()})
	}
	if w.ClockPin != NoPin {
		all = append(all, Signal{"CLK", w.ClockPin.String()})
	} else if w.Driver == ISO7816 {
		all = append(all, Signal{"CLK", strings.TrimSpace(fmt.Sprintf("an oscillator of %v", w.Clock))})
	}
	for _, l := range []struct {
		name string
		line Line
	}{{"decoder enable", w.Enable}, {"reset", w.Reset}, {"power switch", w.Power}, {"interrupt", w.Interrupt}, {"card detect", w.Detect}} {
		if l.line.Wired() {
			all = append(all, Signal{l.name, l.line.String()})
		}
	}
	return all, nil
}

// busSignals are the names of a route's pins, in their order.
var busSignals = map[kind][]string{
	i2cBus:  {"SDA", "SCL"},
	spiBus:  {"MISO", "MOSI", "SCLK"},
	uartBus: {"I/O, by a diode from TXD", "I/O, RXD"},
}
