package boards

import (
	"testing"

	"periph.io/x/conn/v3/physic"

	"github.com/cloud-of-se/tses/drivers/iso7816"
)

// pages are the registers of a clock that is never busy.
type pages struct {
	written map[int64]uint32
	closed  int
}

func (p *pages) Read(offset int64) uint32         { return p.written[offset] }
func (p *pages) Write(offset int64, value uint32) { p.written[offset] = value }
func (p *pages) Close() error                     { p.closed++; return nil }

// TestHostWithClock: a card that is opened again finds the registers as they
// were, where /dev/mem cannot be opened any more.
func TestHostWithClock(t *testing.T) {
	regs := &pages{written: make(map[int64]uint32)}
	h := HostWithClock(regs)
	device := pty(t)
	for range 3 {
		at := CardPorts{Device: device, Reset: Line{Modem: RTS}, Clock: 4500 * physic.KiloHertz, ClockPin: GPIO(4), SoC: iso7816.BCM2711}
		uart, _, clock, err := h.Card(at)
		if err != nil {
			t.Fatal(err)
		}
		if g, ok := clock.(*iso7816.GPCLK); !ok || g.Frequency() != 4500*physic.KiloHertz {
			t.Errorf("the clock is %v", clock)
		}
		if err := uart.Close(); err != nil {
			t.Error(err)
		}
	}
	if regs.closed != 0 || regs.written[0x200028] != 1<<4 {
		t.Errorf("%+v: want clocks that stop and registers that stay", regs)
	}
}

// TestSoC: the boards whose clock manager is documented.
func TestSoC(t *testing.T) {
	if soc := new(Board).SoC(); soc != (iso7816.SoC{}) {
		t.Errorf("a machine that is no Raspberry Pi has %v", soc)
	}
	for _, m := range models {
		b := &Board{model: &m}
		if got := b.SoC(); got != m.chip.soc {
			t.Errorf("%s: %v", m.Title, got)
		}
	}
}
