package boards

import (
	"strings"
	"testing"
)

// TestFirmware is the table of wirings and what config.txt has to say for them.
func TestFirmware(t *testing.T) {
	sim := func(bus, clockPin string) Element {
		return Element{Driver: ISO7816, Bus: bus, ClockPin: clockPin, Reset: "GPIO17"}
	}
	se := func(bus, clock string, pins ...string) Element {
		return Element{Driver: I2C, Dialect: "gp", Bus: bus, Address: 0x18, Clock: clock, Pins: pins}
	}
	chip := func(bus string, cs *int) Element {
		return Element{Driver: SPI, Dialect: "gp", Bus: bus, ChipSelect: cs}
	}
	for _, test := range []struct {
		board     string
		elements  []Element
		want      string
		noConsole bool
	}{
		{"3b", nil, "", false},
		{"3b", []Element{se("i2c1", "")}, "dtparam=i2c_arm=on dtparam=i2c_arm_baudrate=400000", false},
		{"3b", []Element{se("i2c1", "1 MHz")}, "dtparam=i2c_arm=on dtparam=i2c_arm_baudrate=1000000", false},
		{"3b", []Element{se("i2c1", "1 MHz"), {Driver: I2C, Carrier: "iose-grid", Address: 0x30}}, "dtparam=i2c_arm=on dtparam=i2c_arm_baudrate=100000", false},
		{"3b", []Element{se("i2c0", "")}, "dtparam=i2c_vc=on dtparam=i2c_vc_baudrate=400000", false},
		{"3b", []Element{se("i2c-gpio", "100 kHz")}, "dtoverlay=i2c-gpio,bus=8,i2c_gpio_sda=23,i2c_gpio_scl=24", false},
		{"4b", []Element{se("i2c3", "")}, "dtoverlay=i2c3,pins_4_5,baudrate=400000", false},
		{"4b", []Element{se("i2c3", "", "GPIO2", "GPIO3")}, "dtoverlay=i2c3,pins_2_3,baudrate=400000", false},
		{"4b", []Element{se("i2c4", "", "GPIO6", "GPIO7")}, "dtoverlay=i2c4,pins_6_7,baudrate=400000", false},
		{"4b", []Element{se("i2c5", "10 kHz")}, "dtoverlay=i2c5,pins_12_13,baudrate=10000", false},
		{"4b", []Element{se("i2c6", "")}, "dtoverlay=i2c6,pins_22_23,baudrate=400000", false},
		{"3b", []Element{chip("spi0", nil)}, "dtparam=spi=on", false},
		{"3b", []Element{chip("spi0", nil), chip("spi0", &one)}, "dtparam=spi=on", false},
		{"3b", []Element{{Driver: SPI, Carrier: "gp-spi", Reset: "GPIO7"}}, "dtoverlay=spi0-1cs", false},
		{"3b", []Element{chip("spi1", &zero)}, "dtoverlay=spi1-1cs", false},
		{"3b", []Element{chip("spi1", &two), chip("spi1", nil)}, "dtoverlay=spi1-3cs", false},
		{"4b", []Element{chip("spi3", nil)}, "dtoverlay=spi3-1cs", false},
		{"4b", []Element{chip("spi4", &one)}, "dtoverlay=spi4-2cs", false},
		{"4b", []Element{chip("spi5", nil)}, "dtoverlay=spi5-1cs", false},
		{"4b", []Element{chip("spi6", nil)}, "dtoverlay=spi6-1cs", false},
		{"3b", []Element{sim("uart0", "GPIO4")}, "enable_uart=1 dtoverlay=disable-bt", true},
		{"cm3", []Element{sim("uart0", "GPIO4")}, "enable_uart=1", true},
		{"4b", []Element{sim("uart2", "GPIO4")}, "dtoverlay=uart2", false},
		{"4b", []Element{sim("uart3", "GPIO6")}, "dtoverlay=uart3", false},
		{"4b", []Element{sim("uart4", "GPIO4")}, "dtoverlay=uart4", false},
		{"4b", []Element{sim("uart5", "GPIO20")}, "dtoverlay=uart5", false},
		{"5b", []Element{{Driver: ISO7816, Carrier: "sim-uart-oscillator"}}, "dtoverlay=uart0-pi5", true},
		{"zero2w", []Element{{Driver: I2C, Carrier: "se050-arduino"}, {Driver: SPI, Carrier: "gp-spi"}, {Driver: ISO7816, Carrier: "sim-uart"}, {Driver: ISO7816, Carrier: "phoenix"}},
			"dtparam=i2c_arm=on dtparam=i2c_arm_baudrate=400000 dtparam=spi=on enable_uart=1 dtoverlay=disable-bt", true},
		{"4b", []Element{{Driver: ISO7816, Carrier: "phoenix"}}, "", false},
	} {
		f, err := byName(t, test.board).Firmware(wired(t, test.elements...)...)
		if err != nil {
			t.Errorf("%s %+v: %v", test.board, test.elements, err)
		}
		if got := strings.Join(f.Lines, " "); got != test.want || f.NoConsole != test.noConsole {
			t.Errorf("%s %+v: %q %v, want %q %v", test.board, test.elements, got, f.NoConsole, test.want, test.noConsole)
		}
	}
}

func TestFirmwareOfWhatCannotWork(t *testing.T) {
	f, err := byName(t, "3b").Firmware(wired(t, Element{Driver: ISO7816, Carrier: "sim-uart", Bus: "uart1"}, Element{Driver: SPI, Carrier: "gp-spi", Bus: "spi4"})...)
	const want = `element "b": a Raspberry Pi 3 Model B has no spi4; it has spi0, spi1
element "a": uart1 is the mini UART, which has no parity bit, and a card needs one; uart0 is free: bus = "uart0" on GPIO14, GPIO15; config.txt: enable_uart=1, dtoverlay=disable-bt`
	if errorText(err) != want || f.Lines != nil {
		t.Errorf("%v %v", f, err)
	}
}

// TestFirmwareForgetsTheRunningKernel: a builder may run on a Raspberry Pi.
func TestFirmwareForgetsTheRunningKernel(t *testing.T) {
	f, err := detect(t, machine(t, "4b")).Firmware(wired(t, Element{Driver: SPI, Carrier: "gp-spi"})...)
	if err != nil || len(f.Lines) != 1 {
		t.Errorf("%v %v", f, err)
	}
}
