package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/cloud-of-se/tses/boards"
)

// TestWireConfiguration is what the file may say of chips, and what is said of
// what it may not.
func TestWireConfiguration(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{`driver = "i2c"
carrier = "se050-arduino"`, ""},
		{`driver = "spi"
carrier = "gp-spi"
chip_select = 1
aliases = ["b"]`, ""},
		{`driver = "iso7816"
carrier = "phoenix"
device = "/dev/ttyUSB1"`, ""},
		{`driver = "i2c"
adress = 0x48`, `:4: unknown key "element.adress", did you mean "element.address"?`},
		{`driver = "spi"
chipselect = 1`, `:4: unknown key "element.chipselect", did you mean "element.chip_select"?`},
		{`driver = "i2c"
address = "0x48"`, `:4: element.address: want a whole number, without quotes`},
		{`driver = "i2c"
carrier = "se050"`, `: element "a": carrier "se050" is not known; there is se050-arduino, se052-arduino, optiga-nbt, iose-grid, gp-spi, sim-uart, sim-uart-oscillator, phoenix, smartmouse`},
		{`driver = "softse"
bus = "i2c1"`, `: element "a": driver "softse" takes no "bus"`},
		{`driver = "pcsc"
reader = "*"
clock = "4 MHz"`, `: element "a": driver "pcsc" takes no "clock"`},
		{`driver = "i2c"
carrier = "se050-arduino"
chip_select = 0`, `: element "a": driver "i2c" takes no "chip_select"; it takes carrier, bus, device, clock, dialect, address, pins, reset, interrupt, reset_pulse, boot_time`},
		{`driver = "i2c"
carrier = "se050-arduino"
reader = "*"`, `: element "a": reader and atr belong to the driver pcsc, not to i2c`},
		{`driver = "iic"`, `: element "a": driver "iic" is not known; there is i2c, iso7816, pcsc, scripted, softse, spi`},
	} {
		file := wireConfig(t, "[[element]]\nseid = \"a\"\n"+test.text+"\n")
		_, err := loadConfig(file)
		got := ""
		if err != nil {
			got = strings.TrimPrefix(err.Error(), file)
		}
		if got != test.want {
			t.Errorf("%s:\n got %s\nwant %s", test.text, got, test.want)
		}
	}
}

// TestRefusedWiringGetsNoPower: two chips on one pin are left alone and their
// users told why; the third serves.
func TestRefusedWiringGetsNoPower(t *testing.T) {
	c, err := loadConfig(wireConfig(t, `
[[element]]
seid = "se1"
driver = "i2c"
carrier = "se050-arduino"
[[element]]
seid = "chip1"
driver = "spi"
carrier = "gp-spi"
reset = "GPIO22"
[[element]]
seid = "card1"
driver = "scripted"
`))
	if err != nil {
		t.Fatal(err)
	}
	log := new(logBuffer)
	root := fstest.MapFS{
		"proc/device-tree/compatible": {Data: []byte("raspberrypi,4-model-b\x00brcm,bcm2711\x00")},
		"dev/i2c-1":                   {}, "dev/spidev0.0": {},
	}
	g, closeElements, err := openElements(c, t.TempDir(), &machine{root, noPorts{}}, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := closeElements(); err != nil {
			t.Error(err)
		}
	}()
	s := g.NewSession("test")
	defer s.Close()
	for _, seid := range []string{"se1", "chip1"} {
		const want = `GPIO22 (pin 15) is reset of "se1" and reset of "chip1"; GPIO27 (pin 13) is free`
		if _, _, err := s.PowerOn(t.Context(), seid); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", seid, err, want)
		}
	}
	if _, _, err := s.PowerOn(t.Context(), "card1"); err != nil {
		t.Error(err)
	}
	if n := strings.Count(log.String(), "element is out of service"); n != 2 {
		t.Errorf("%d of two are told of:\n%s", n, log)
	}
}

// noPorts must not be asked.
type noPorts struct{ boards.Ports }

func wireConfig(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "tses.toml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
