package boards

import (
	"fmt"
	"slices"
	"strings"

	"periph.io/x/conn/v3/physic"
)

// Firmware is what a board has to be told before its kernel starts, so that
// wirings work.
type Firmware struct {
	// Lines are for config.txt, in the order in which they have to stand.
	Lines []string
	// NoConsole says that the kernel must have no console on serial0: no
	// console=serial0 or console=ttyAMA0 in cmdline.txt; for the builder of
	// the SD-card image SerialConsole = "disabled".
	NoConsole bool
}

// Firmware returns what the board has to be told for the wirings. The error
// joins the [Refusal]s, where there are any; what the kernel that runs was told
// does not count.
func (b *Board) Firmware(ws ...Wiring) (Firmware, error) {
	plain := &Board{model: b.model, title: b.title}
	if refused := plain.Check(ws...); len(refused) > 0 {
		return Firmware{}, joinRefusals(refused)
	}
	ps, _ := plain.plans(ws) // refused ones have been returned
	var f Firmware
	var done []*bus
	for _, p := range ps {
		if p.bus == nil || slices.Contains(done, p.bus) {
			continue
		}
		done = append(done, p.bus)
		f.Lines = append(f.Lines, b.firmwareLines(ps, p.bus)...)
		f.NoConsole = f.NoConsole || p.bus.name == "uart0"
	}
	return f, nil
}

// usualI2C is the clock of an I2C bus whose chips do not say one.
const usualI2C = 400 * physic.KiloHertz

// firmwareLines are the lines for one bus with what the plans want of it. An
// I2C runs at the clock of its slowest chip.
func (m *Board) firmwareLines(ps []plan, b *bus) []string {
	var r route
	for _, p := range ps {
		if p.bus == b {
			r = p.route
		}
	}
	number := selects(ps, b)
	if b.kind == i2cBus {
		number = int(slowest(ps, b) / physic.Hertz)
	}
	var lines []string
	for _, line := range r.lines {
		if strings.Contains(line, "%d") {
			line = fmt.Sprintf(line, number)
		}
		if line != noBluetooth || m.model.wireless {
			lines = append(lines, line)
		}
	}
	if b.name == "spi0" && number == 1 && taken(ps)[b.cs[1]] {
		return []string{"dtoverlay=spi0-1cs"}
	}
	return lines
}

// slowest is the clock at which an I2C serves all of its chips.
func slowest(ps []plan, b *bus) physic.Frequency {
	least := b.most
	for _, p := range ps {
		if p.bus != b {
			continue
		}
		if p.Clock == 0 {
			least = min(least, usualI2C)
		} else {
			least = min(least, p.Clock)
		}
	}
	return least
}
