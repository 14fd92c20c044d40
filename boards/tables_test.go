package boards

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const tables = `
listen = ":7777"
[limits]
sessions = 3
[[element]]
seid = "soft1"
driver = "softse"
[[element]]
seid = "se1"
driver = "i2c"
carrier = "se050-arduino"
clock = "1 MHz"
[[element]]
seid = "sim1"
driver = "iso7816"
carrier = "sim-uart"
bus = "uart5"
`

func TestWirings(t *testing.T) {
	ws, err := Wirings(tables)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, w := range ws {
		got = append(got, w.Name+" "+w.String())
	}
	if diff := cmp.Diff([]string{"se1 i2c(i2c1, 0x48)", "sim1 iso7816(uart5)"}, got); diff != "" {
		t.Error(diff)
	}
	f, err := byName(t, "4b").Firmware(ws...)
	if want := "dtparam=i2c_arm=on dtparam=i2c_arm_baudrate=1000000 dtoverlay=uart5"; err != nil || strings.Join(f.Lines, " ") != want {
		t.Errorf("%v %v, want %s", f, err, want)
	}
}

func TestWiringsRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"[[element":                       "configuration: toml: ",
		"element = 1":                     "configuration: ",
		"[[element]]\ndriver = \"i2c\"\n": `element "": no bus`,
		"[[element]]\nseid = \"a\"\ndriver = \"i2c\"\ncarrier = \"se050-arduino\"\n[[element]]\nseid = \"b\"\ndriver = \"spi\"\naddress = 1\n": `element "b": driver "spi" takes no "address"`,
	} {
		ws, err := Wirings(text)
		if ws != nil || err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v %v, want %s", text, ws, err, want)
		}
	}
}

func TestWiringString(t *testing.T) {
	for want, e := range map[string]Element{
		"i2c(/dev/i2c-7, 0x18)": {Driver: I2C, Carrier: "optiga-nbt", Device: "/dev/i2c-7"},
		"spi(spi1.2)":           {Driver: SPI, Carrier: "gp-spi", Bus: "spi1", ChipSelect: &two},
		"spi(/dev/spidev0.0)":   {Driver: SPI, Carrier: "gp-spi", Device: "/dev/spidev0.0"},
		"iso7816(/dev/ttyUSB0)": {Driver: ISO7816, Carrier: "phoenix"},
		"iso7816(uart0)":        {Driver: ISO7816, Carrier: "sim-uart"},
	} {
		if got := wired(t, e)[0].String(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
