package boards

import (
	"testing"
	"testing/fstest"

	"github.com/BurntSushi/toml"
)

// FuzzElement reads any table, and what can be read goes through the checks of
// every board, here and on a running kernel.
func FuzzElement(f *testing.F) {
	for _, c := range carriers {
		f.Add("driver = \"" + c.Element.Driver + "\"\ncarrier = \"" + c.Name + "\"\n")
	}
	f.Add("driver = \"i2c\"\nbus = \"i2c3\"\ndialect = \"gp\"\naddress = 0x18\npins = [\"GPIO2\", \"pin5\"]\nclock = \"1 MHz\"\nreset = \"GPIO24 active high\"\nboot_time = \"3ms\"")
	f.Add("driver = \"spi\"\nbus = \"spi1\"\ndialect = \"st54\"\nchip_select = 2\ninterrupt = \"GPIO7, active low\"")
	f.Add("driver = \"iso7816\"\ndevice = \"/dev/ttyUSB0\"\nclock = \"3.579545 MHz\"\nclock_pin = \"external\"\nreset = \"dtr\"\npower = \"none\"")
	others := []Wiring{}
	for _, c := range carriers {
		if w, err := (Element{Driver: c.Element.Driver, Carrier: c.Name}).Wiring(c.Name); err == nil {
			others = append(others, w)
		}
	}
	running := &Board{model: &models[5], title: "x", root: fstest.MapFS{}}
	f.Fuzz(func(t *testing.T, table string) {
		var e Element
		if _, err := toml.Decode(table, &e); err != nil {
			return
		}
		w, err := e.Wiring("x")
		if err != nil {
			return
		}
		for i := range models {
			b := &Board{model: &models[i], title: "x"}
			refused := b.Check(w)
			if _, err := b.Firmware(w); (err != nil) != (len(refused) > 0) {
				t.Errorf("%v, refused %v", err, refused)
			}
			b.Check(append(others[:len(others):len(others)], w)...)
		}
		running.Check(append(others[:len(others):len(others)], w)...)
		(&Board{title: "x"}).Check(w)
	})
}

func FuzzParsePin(f *testing.F) {
	for _, s := range []string{"GPIO17", "pin11", "17", "gpio 0", "", "pin40", "GPIO255"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := ParsePin(s)
		if err != nil {
			if p != NoPin {
				t.Errorf("%v with %v", p, err)
			}
			return
		}
		if again, err := ParsePin(p.name()); again != p || err != nil {
			t.Errorf("%q: %v, again %v %v", s, p, again, err)
		}
	})
}

func FuzzWirings(f *testing.F) {
	f.Add(tables)
	f.Add("[[element]]\ndriver = \"spi\"\ncarrier = \"gp-spi\"\nseid = \"x\"\nchip_select = 1\n[[element]]\n")
	f.Fuzz(func(t *testing.T, config string) {
		ws, err := Wirings(config)
		if err != nil && ws != nil {
			t.Errorf("%v with %v", ws, err)
		}
		for i := range models {
			b := &Board{model: &models[i], title: "x"}
			if refused := b.Check(ws...); len(ws) == 0 && len(refused) > 0 {
				t.Errorf("nothing is refused: %v", refused)
			}
		}
	})
}
