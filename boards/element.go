package boards

import (
	"fmt"
	"reflect"
	"strings"
)

// Element is the part of an [[element]] table of the TSES's configuration that
// says where a chip hangs. Texts are as people write them; [Element.Wiring]
// reads them.
type Element struct {
	Driver string `toml:"driver"` // "i2c", "spi" or "iso7816"

	Carrier string `toml:"carrier"` // a ready-made entry: see [Carriers]; the keys below replace what it says
	Dialect string `toml:"dialect"` // i2c, spi: how the chip speaks T=1

	Bus    string `toml:"bus"`    // "i2c1", "spi0", "uart0"
	Device string `toml:"device"` // a device file in place of a bus: "/dev/ttyUSB0"

	Address    int      `toml:"address"`     // i2c: 0x48
	ChipSelect *int     `toml:"chip_select"` // spi: 0 where not given
	Decoder    []string `toml:"decoder"`     // spi: the address pins of a decoder behind the chip select, the lowest bit first
	Output     *int     `toml:"output"`      // spi: of the decoder, from 0 on
	Enable     string   `toml:"enable"`      // spi: the decoder's enable pin, where it is not the chip select
	Pins       []string `toml:"pins"`        // i2c: SDA and SCL: ["GPIO2", "GPIO3"]
	Clock      string   `toml:"clock"`       // "400 kHz"

	ClockPin  string `toml:"clock_pin"` // iso7816: "GPIO4", or "external" for an oscillator
	Reset     string `toml:"reset"`     // "GPIO17", "GPIO17 active high", "RTS", "none"
	Power     string `toml:"power"`
	Interrupt string `toml:"interrupt"` // i2c, spi: the chip says that it has an answer
	Detect    string `toml:"detect"`    // iso7816: a card is in the socket

	AnyTCK bool `toml:"any_tck"` // iso7816: take an answer to reset whose TCK is wrong, missing or needless

	ResetPulse string `toml:"reset_pulse"` // i2c, spi: "2ms"
	BootTime   string `toml:"boot_time"`   // i2c, spi: "3ms"
}

// takes are the keys of each driver besides those of all.
var takes = map[string][]string{
	I2C:     {"dialect", "address", "pins", "reset", "interrupt", "reset_pulse", "boot_time"},
	SPI:     {"dialect", "chip_select", "decoder", "output", "enable", "reset", "interrupt", "reset_pulse", "boot_time"},
	ISO7816: {"clock_pin", "reset", "power", "detect", "any_tck"},
}

// ofAll are the keys that every driver takes.
var ofAll = []string{"driver", "carrier", "bus", "device", "clock"}

// Keys lists the keys of a driver's table; none for a driver that is not one of
// this package's.
func Keys(driver string) []string {
	own, ok := takes[driver]
	if !ok {
		return nil
	}
	return append(append([]string(nil), ofAll...), own...)
}

// Given lists the keys of the table that are there, in the order of the
// fields.
func (e Element) Given() []string {
	var keys []string
	for field, value := range reflect.ValueOf(e).Fields() {
		if !value.IsZero() {
			keys = append(keys, field.Tag.Get("toml"))
		}
	}
	return keys
}

// over is the table with what it does not say taken from a carrier's.
func (e Element) over(carrier Element) Element {
	switch {
	case e.Device != "":
		carrier.Bus = ""
	case e.Bus != "":
		carrier.Device = ""
	}
	merged := reflect.ValueOf(&carrier).Elem()
	for field, value := range reflect.ValueOf(e).Fields() {
		if !value.IsZero() {
			merged.FieldByIndex(field.Index).Set(value)
		}
	}
	return carrier
}

// strict tells of keys that the driver does not take.
func (e Element) strict() error {
	keys := Keys(e.Driver)
	if keys == nil {
		return fmt.Errorf("driver %.32q hangs on no bus; %s, %s and %s do", e.Driver, I2C, SPI, ISO7816)
	}
	for _, key := range e.Given() {
		if !contains(keys, key) {
			return fmt.Errorf("driver %q takes no %q; it takes %s", e.Driver, key, strings.Join(keys[1:], ", "))
		}
	}
	return nil
}

func contains(list []string, s string) bool {
	for _, l := range list {
		if l == s {
			return true
		}
	}
	return false
}
