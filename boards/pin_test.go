package boards

import (
	"testing"

	"periph.io/x/conn/v3/gpio"
)

func TestParsePin(t *testing.T) {
	for _, test := range []struct {
		in   string
		want Pin
		err  string
	}{
		{in: "GPIO0", want: GPIO(0)},
		{in: "gpio17", want: GPIO(17)},
		{in: "GPIO 17", want: GPIO(17)},
		{in: "GPIO45", want: GPIO(45)},
		{in: "pin11", want: GPIO(17)},
		{in: "pin 40", want: GPIO(21)},
		{in: "GPIO46", err: `pin "GPIO46": GPIO0 to GPIO45 can be led out`},
		{in: "GPIO", err: `pin "GPIO": GPIO0 to GPIO45 can be led out`},
		{in: "GPIO017", err: `pin "GPIO017": GPIO0 to GPIO45 can be led out`},
		{in: "GPIO-1", err: `pin "GPIO-1": GPIO0 to GPIO45 can be led out`},
		{in: "pin41", err: `pin "pin41": the header has pin1 to pin40`},
		{in: "pin0", err: `pin "pin0": the header has pin1 to pin40`},
		{in: "pin6", err: `pin "pin6": that place of the header is power or ground`},
		{in: "11", err: `pin "11": write "GPIO11", or "pin11" for place 11 of the header, which is GPIO17`},
		{in: "reset", err: `pin "reset": want a name such as "GPIO17" or "pin11"`},
		{in: "", err: `pin "": want a name such as "GPIO17" or "pin11"`},
	} {
		got, err := ParsePin(test.in)
		if got != test.want || errorText(err) != test.err {
			t.Errorf("%q: %v %v, want %v %s", test.in, got, err, test.want, test.err)
		}
	}
}

// TestHeader holds the header to the order in which everybody has it: every
// GPIO from 0 to 27 is there once.
func TestHeader(t *testing.T) {
	count := make(map[Pin]int)
	for _, p := range header {
		count[p]++
	}
	for n := range 28 {
		if count[GPIO(n)] != 1 {
			t.Errorf("GPIO%d is there %d times", n, count[GPIO(n)])
		}
	}
	if got := GPIO(4).String(); got != "GPIO4 (pin 7)" {
		t.Error(got)
	}
	if got := GPIO(40).String() + ", " + NoPin.String(); got != "GPIO40, no pin" {
		t.Error(got)
	}
}

func TestParseLine(t *testing.T) {
	for _, test := range []struct {
		in   string
		want Line
		err  string
		text string
	}{
		{in: "GPIO22", want: Line{Pin: GPIO(22), Active: gpio.Low}, text: "GPIO22 (pin 15), active low"},
		{in: "GPIO22 active high", want: Line{Pin: GPIO(22), Active: gpio.High}, text: "GPIO22 (pin 15), active high"},
		{in: "pin15, active low", want: Line{Pin: GPIO(22)}, text: "GPIO22 (pin 15), active low"},
		{in: "RTS", want: Line{Modem: RTS}, text: "RTS, active low"},
		{in: "dtr active high", want: Line{Modem: DTR, Active: gpio.High}, text: "DTR, active high"},
		{in: "GPIO22 active", err: `"GPIO22 active": want "active low" or "active high" behind the pin`, text: "not wired"},
		{in: "CTS", err: `pin "cts": want a name such as "GPIO17" or "pin11"`, text: "not wired"},
	} {
		got, err := parseLine(test.in, gpio.Low)
		if got != test.want || errorText(err) != test.err || got.String() != test.text {
			t.Errorf("%q: %v %v, want %v %s", test.in, got, err, test.want, test.err)
		}
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
