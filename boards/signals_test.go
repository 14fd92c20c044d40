package boards

import (
	"fmt"
	"strings"
	"testing"
)

// What people are told to connect is what the drivers will use.
func TestSignals(t *testing.T) {
	board, err := ByName("4b")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		element Element
		want    string
	}{
		{Element{Driver: I2C, Carrier: "se050-arduino"}, "[{SDA GPIO2 (pin 3)} {SCL GPIO3 (pin 5)} {reset GPIO22 (pin 15), active low}]"},
		{Element{Driver: SPI, Carrier: "gp-spi"}, "[{MISO GPIO9 (pin 21)} {MOSI GPIO10 (pin 19)} {SCLK GPIO11 (pin 23)} {chip select 0 GPIO8 (pin 24)}]"},
		{Element{Driver: ISO7816, Carrier: "sim-uart"}, "[{I/O, by a diode from TXD GPIO14 (pin 8)} {I/O, RXD GPIO15 (pin 10)} {CLK GPIO4 (pin 7)} {reset GPIO17 (pin 11), active low} {power switch GPIO27 (pin 13), active high}]"},
		{Element{Driver: ISO7816, Carrier: "smartmouse"}, "[{bus /dev/ttyUSB0} {CLK an oscillator of 3.580MHz} {reset RTS, active low}]"},
	} {
		w, err := tt.element.Wiring("a")
		if err != nil {
			t.Fatal(err)
		}
		got, err := board.Signals(w)
		if err != nil || fmt.Sprint(got) != tt.want {
			t.Errorf("%s: %v, %v\nwant %s", tt.element.Carrier, got, err, tt.want)
		}
	}
	w, err := Element{Driver: I2C, Carrier: "se050-arduino", Bus: "i2c6"}.Wiring("a")
	if err != nil {
		t.Fatal(err)
	}
	if board, err = ByName("3b"); err != nil {
		t.Fatal(err)
	}
	if got, err := board.Signals(w); err == nil || !strings.Contains(err.Error(), "has no i2c6") {
		t.Errorf("a bus that is not there: %v, %v", got, err)
	}
}

// Every carrier has something to connect, on the board that is shown.
func TestSignalsOfCarriers(t *testing.T) {
	board, err := ByName("4b")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range Carriers() {
		e := Element{Driver: c.Element.Driver, Carrier: c.Name}
		if c.Element.Driver == I2C && c.Element.Address == 0 {
			e.Address = 0x48
		}
		w, err := e.Wiring("a")
		if err != nil {
			t.Errorf("%s: %v", c.Name, err)
			continue
		}
		if got, err := board.Signals(w); err != nil || len(got) == 0 {
			t.Errorf("%s: %v, %v", c.Name, got, err)
		}
	}
}
