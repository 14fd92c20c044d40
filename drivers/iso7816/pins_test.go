package iso7816_test

import (
	"testing"

	"github.com/cloud-of-se/tses/drivers/iso7816"
	"periph.io/x/conn/v3/gpio"
)

// pin is a pin that keeps its level.
type pin struct {
	gpio.PinIO // the invalid one, for the rest
	name       string
	level      gpio.Level
}

func newPin(name string) *pin { return &pin{PinIO: gpio.INVALID, name: name} }

func (p *pin) String() string         { return p.name }
func (p *pin) Out(l gpio.Level) error { p.level = l; return nil }
func (p *pin) Read() gpio.Level       { return p.level }

// TestPinContacts: levels, straight and inverted.
func TestPinContacts(t *testing.T) {
	for _, inverted := range []bool{false, true} {
		rst, vcc, detect := newPin("GPIO17"), newPin("GPIO27"), newPin("GPIO22")
		c := &iso7816.PinContacts{
			RST: rst, InvertRST: inverted, VCC: vcc, InvertVCC: inverted, Detect: detect, InvertDetect: inverted,
		}
		for _, state := range []bool{true, false} {
			if err := c.SetRST(state); err != nil {
				t.Fatal(err)
			}
			if err := c.SetVCC(state); err != nil {
				t.Fatal(err)
			}
			level := gpio.Level(state != inverted)
			if rst.level != level || vcc.level != level {
				t.Errorf("inverted %v: set to %v, RST is %v, VCC is %v", inverted, state, rst.level, vcc.level)
			}
			detect.level = level
			if got, err := c.Present(); err != nil || got != state {
				t.Errorf("inverted %v: Present is %v, %v; want %v", inverted, got, err, state)
			}
		}
	}
	c := &iso7816.PinContacts{RST: newPin("GPIO17")}
	if there, err := c.Present(); err != nil || !there {
		t.Errorf("without a switch: Present is %v, %v", there, err)
	}
	if err := c.SetVCC(true); err != nil {
		t.Errorf("without a load switch: %v", err)
	}
	if err := (&iso7816.PinContacts{}).SetRST(true); err == nil {
		t.Error("RST without a pin is set")
	}
}
