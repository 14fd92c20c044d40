package boards

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/physic"
)

func TestWiring(t *testing.T) {
	for _, test := range []struct {
		name string
		e    Element
		want Wiring
	}{
		{"carrier", Element{Driver: I2C, Carrier: "se050-arduino"}, Wiring{
			Name: "x", Driver: I2C, Carrier: "se050-arduino", Dialect: "um11225", Bus: "i2c1", Address: 0x48, Clock: 400 * physic.KiloHertz,
			Reset: Line{Pin: GPIO(22), Active: gpio.Low}, ResetPulse: 2 * time.Millisecond, BootTime: 3 * time.Millisecond}},
		{"over a carrier", Element{Driver: I2C, Carrier: "se050-arduino", Device: "/dev/i2c-7", Address: 0x49, Reset: "none", BootTime: "5ms"}, Wiring{
			Name: "x", Driver: I2C, Carrier: "se050-arduino", Dialect: "um11225", Device: "/dev/i2c-7", Address: 0x49, Clock: 400 * physic.KiloHertz,
			ResetPulse: 2 * time.Millisecond, BootTime: 5 * time.Millisecond}},
		{"all of I2C", Element{Driver: I2C, Dialect: "gp", Bus: "i2c3", Address: 0x18, Pins: []string{"GPIO2", "pin5"}, Clock: "1 MHz", Interrupt: "GPIO23 active low", Reset: "GPIO24 active high", ResetPulse: "1ms"}, Wiring{
			Name: "x", Driver: I2C, Dialect: "gp", Bus: "i2c3", Address: 0x18, Pins: gpios(2, 3), Clock: physic.MegaHertz,
			Interrupt: Line{Pin: GPIO(23), Active: gpio.Low}, Reset: Line{Pin: GPIO(24), Active: gpio.High}, ResetPulse: time.Millisecond}},
		{"least", Element{Driver: I2C, Dialect: "gp", Bus: "i2c1", Address: 0x08, Clock: "1 kHz"}, Wiring{
			Name: "x", Driver: I2C, Dialect: "gp", Bus: "i2c1", Address: 0x08, Clock: physic.KiloHertz}},
		{"most", Element{Driver: I2C, Dialect: "gp", Bus: "i2c1", Address: 0x77, Clock: "125 MHz"}, Wiring{
			Name: "x", Driver: I2C, Dialect: "gp", Bus: "i2c1", Address: 0x77, Clock: 125 * physic.MegaHertz}},
		{"last chip select", Element{Driver: SPI, Dialect: "gp", Bus: "spi1", ChipSelect: &seven}, Wiring{
			Name: "x", Driver: SPI, Dialect: "gp", Bus: "spi1", ChipSelect: 7}},
		{"all of SPI", Element{Driver: SPI, Dialect: "st54", Bus: "spi1", ChipSelect: &two, Clock: "8MHz", Interrupt: "GPIO23", Reset: "GPIO24"}, Wiring{
			Name: "x", Driver: SPI, Dialect: "st54", Bus: "spi1", ChipSelect: 2, Clock: 8 * physic.MegaHertz,
			Interrupt: Line{Pin: GPIO(23), Active: gpio.High}, Reset: Line{Pin: GPIO(24), Active: gpio.Low}}},
		{"all of ISO 7816", Element{Driver: ISO7816, Bus: "uart5", Clock: "3.6 MHz", ClockPin: "GPIO6", Reset: "GPIO17", Power: "GPIO27", Detect: "GPIO22 active high", AnyTCK: true}, Wiring{
			Name: "x", Driver: ISO7816, Bus: "uart5", Clock: 3600 * physic.KiloHertz, ClockPin: GPIO(6),
			Reset: Line{Pin: GPIO(17), Active: gpio.Low}, Power: Line{Pin: GPIO(27), Active: gpio.High}, Detect: Line{Pin: GPIO(22), Active: gpio.High}, AnyTCK: true}},
		{"adapter", Element{Driver: ISO7816, Carrier: "phoenix", Device: "/dev/serial/by-id/usb-FTDI_x-if00", Clock: "6 MHz"}, Wiring{
			Name: "x", Driver: ISO7816, Carrier: "phoenix", Device: "/dev/serial/by-id/usb-FTDI_x-if00", Clock: 6 * physic.MegaHertz,
			Reset: Line{Modem: RTS, Active: gpio.High}}},
	} {
		got, err := test.e.Wiring("x")
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}

func TestWiringRefuses(t *testing.T) {
	i2c := Element{Driver: I2C, Dialect: "gp", Bus: "i2c1", Address: 0x18}
	card := Element{Driver: ISO7816, Bus: "uart0", ClockPin: "GPIO4", Reset: "GPIO17"}
	for _, test := range []struct {
		e    Element
		edit func(e *Element)
		want string
	}{
		{Element{Driver: "softse"}, nil, `driver "softse" hangs on no bus; i2c, spi and iso7816 do`},
		{i2c, func(e *Element) { e.AnyTCK = true }, `driver "i2c" takes no "any_tck"; it takes carrier, bus, device, clock, dialect, address, pins, reset, interrupt, reset_pulse, boot_time`},
		{i2c, func(e *Element) { e.ChipSelect = &zero }, `driver "i2c" takes no "chip_select"; it takes carrier, bus, device, clock, dialect, address, pins, reset, interrupt, reset_pulse, boot_time`},
		{card, func(e *Element) { e.Dialect = "gp" }, `driver "iso7816" takes no "dialect"; it takes carrier, bus, device, clock, clock_pin, reset, power, detect, any_tck`},
		{Element{Driver: SPI, Carrier: "gp-spi"}, func(e *Element) { e.Address = 0x48 }, `driver "spi" takes no "address"; it takes carrier, bus, device, clock, dialect, chip_select, decoder, output, enable, reset, interrupt, reset_pulse, boot_time`},
		{i2c, func(e *Element) { e.Carrier = "se050-arduion" }, `carrier "se050-arduion" is not known; there is se050-arduino, se052-arduino, optiga-nbt, iose-grid, gp-spi, sim-uart, sim-uart-oscillator, phoenix, smartmouse`},
		{i2c, func(e *Element) { e.Carrier = "gp-spi" }, `carrier "gp-spi" is for driver "spi", not "i2c"`},
		{i2c, func(e *Element) { e.Device = "/dev/i2c-1" }, `bus = "i2c1" and device = "/dev/i2c-1": give one of them`},
		{i2c, func(e *Element) { e.Bus = "" }, `no bus: give one, such as bus = "i2c1", or a carrier`},
		{i2c, func(e *Element) { e.Bus = "spi0" }, `bus = "spi0": driver "i2c" hangs on a bus such as "i2c1"`},
		{i2c, func(e *Element) { e.Bus, e.Device = "", "i2c-1" }, `device = "i2c-1": want a device file such as "/dev/i2c-1"`},
		{i2c, func(e *Element) { e.Bus, e.Device = "", "/dev/../etc/passwd" }, `device = "/dev/../etc/passwd": want a device file such as "/dev/i2c-1"`},
		{i2c, func(e *Element) { e.Pins = []string{"GPIO2"} }, `pins: 1 of them, want SDA and SCL`},
		{i2c, func(e *Element) { e.Pins = []string{"GPIO2", "SCL"} }, `pins: pin "SCL": want a name such as "GPIO17" or "pin11"`},
		{i2c, func(e *Element) { e.Bus, e.Device, e.Pins = "", "/dev/i2c-1", []string{"GPIO2", "GPIO3"} }, `pins: the pins of device = "/dev/i2c-1" cannot be chosen; give a bus`},
		{i2c, func(e *Element) { e.Dialect = "" }, `no dialect: give one of gp, nxp-gp, um11225, iose, or a carrier`},
		{i2c, func(e *Element) { e.Dialect = "st54" }, `dialect = "st54" is not known on i2c; there is gp, nxp-gp, um11225, iose`},
		{i2c, func(e *Element) { e.Address = 0 }, `no address: give that of the chip, such as address = 0x48`},
		{i2c, func(e *Element) { e.Address = 0x90 }, `address = 0x90: an address on I2C is 0x08 to 0x77, without the bit for read and write`},
		{i2c, func(e *Element) { e.Clock = "fast" }, `clock = "fast": want a frequency such as "400 kHz" or "3.84 MHz"`},
		{i2c, func(e *Element) { e.Clock = "400" }, `clock = "400": want 1 kHz to 125 MHz, such as "400 kHz"`},
		{i2c, func(e *Element) { e.Clock = "1 GHz" }, `clock = "1 GHz": want 1 kHz to 125 MHz, such as "400 kHz"`},
		{i2c, func(e *Element) { e.Reset = "17" }, `reset: pin "17": write "GPIO17"; place 17 of the header is power or ground`},
		{i2c, func(e *Element) { e.Reset = "RTS" }, `reset = "RTS": only a serial adapter has this line`},
		{i2c, func(e *Element) { e.ResetPulse = "1 day" }, `reset_pulse = "1 day": want a time up to 10s, such as "2ms"`},
		{i2c, func(e *Element) { e.BootTime = "11s" }, `boot_time = "11s": want a time up to 10s, such as "2ms"`},
		{Element{Driver: SPI, Carrier: "gp-spi"}, func(e *Element) { e.Device, e.ChipSelect = "/dev/spidev0.0", &one }, `chip_select: device = "/dev/spidev0.0" has it in its name`},
		{Element{Driver: SPI, Carrier: "gp-spi"}, func(e *Element) { e.Output = &one }, `output and enable are a decoder's: give its address pins, such as decoder = ["GPIO5", "GPIO6"]`},
		{Element{Driver: SPI, Carrier: "gp-spi"}, func(e *Element) { e.Decoder = []string{"GPIO5", "GPIO6"} }, `no output: give that of the decoder, 0 to 3`},
		{Element{Driver: SPI, Carrier: "gp-spi"}, func(e *Element) { e.Decoder, e.Output = []string{"GPIO5"}, &two }, `output = 2: the decoder has 0 to 1`},
		{Element{Driver: SPI, Carrier: "gp-spi"}, func(e *Element) { e.Decoder, e.Output = []string{"5"}, &one }, `decoder: pin "5": write "GPIO5", or "pin5" for place 5 of the header, which is GPIO3`},
		{Element{Driver: SPI, Carrier: "gp-spi"}, func(e *Element) { e.Decoder, e.Output = make([]string, 9), &one }, `decoder: 9 address pins, at most 8`},
		{Element{Driver: SPI, Carrier: "gp-spi"}, func(e *Element) { e.Decoder, e.Output, e.Enable = []string{"GPIO5"}, &one, "RTS" }, `enable = "RTS": only a serial adapter has this line`},
		{Element{Driver: SPI, Carrier: "gp-spi"}, func(e *Element) { n := 8; e.ChipSelect = &n }, `chip_select = 8: want 0 to 7`},
		{Element{Driver: SPI, Carrier: "gp-spi"}, func(e *Element) { e.Dialect = "st54" }, `no reset: a chip that speaks st54 starts by a pulse on its reset line; give reset = "GPIO24"`},
		{card, func(e *Element) { e.ClockPin = "" }, `no clock_pin: give the pin of a GPCLK, such as "GPIO4", or "external" for an oscillator`},
		{card, func(e *Element) { e.ClockPin = "external" }, `clock_pin = "external": give the oscillator's clock, such as clock = "3.579545 MHz"`},
		{card, func(e *Element) { e.ClockPin = "GPCLK0" }, `clock_pin: pin "GPCLK0": want a name such as "GPIO17" or "pin11", or "external"`},
		{card, func(e *Element) { e.Reset = "none" }, `no reset: a card starts with its reset line; give reset = "GPIO17", or "RTS" on a serial adapter`},
		{card, func(e *Element) { e.Reset, e.Power = "DTR", "GPIO27" }, `power and detect go with a reset on a pin, not on DTR`},
		{card, func(e *Element) { e.Power = "RTS" }, `power = "RTS": give a pin; an adapter powers its card itself`},
		{i2c, func(e *Element) { e.Dialect, e.Address = "", 0 }, "no dialect: give one of gp, nxp-gp, um11225, iose, or a carrier\nno address: give that of the chip, such as address = 0x48"},
	} {
		e := test.e
		if test.edit != nil {
			test.edit(&e)
		}
		_, err := e.Wiring("x")
		if got := strings.TrimPrefix(errorText(err), `element "x": `); got != test.want {
			t.Errorf("%+v:\n got %s\nwant %s", e, got, test.want)
		}
	}
}

// TestCarriersAreReady: every ready-made entry can be used as it is, on a board
// that it is for.
func TestCarriersAreReady(t *testing.T) {
	for _, c := range Carriers() {
		e := Element{Driver: c.Element.Driver, Carrier: c.Name}
		if c.Name == "iose-grid" {
			e.Address = 0x30
		}
		for _, board := range []string{"3b", "3b+", "zero2w", "4b", "cm4"} {
			compare(t, byName(t, board).Check(wired(t, e)...), nil)
		}
		if c.About == "" {
			t.Error(c.Name)
		}
	}
}

func TestKeys(t *testing.T) {
	if got := Keys("softse"); got != nil {
		t.Error(got)
	}
	known := make(map[string]bool)
	for _, driver := range []string{I2C, SPI, ISO7816} {
		for _, key := range Keys(driver) {
			known[key] = true
		}
	}
	all := Element{Driver: "x", Carrier: "x", Dialect: "x", Bus: "x", Device: "x", Address: 1, ChipSelect: &one, Decoder: []string{"x"}, Output: &one, Enable: "x", Pins: []string{"x"}, Clock: "x",
		ClockPin: "x", Reset: "x", Power: "x", Interrupt: "x", Detect: "x", AnyTCK: true, ResetPulse: "x", BootTime: "x"}
	for _, key := range all.Given() {
		if !known[key] {
			t.Errorf("no driver takes %q", key)
		}
		delete(known, key)
	}
	if len(known) != 0 {
		t.Errorf("no fields: %v", known)
	}
}
