package spi_test

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cloud-of-se/tses/drivers"
	"github.com/cloud-of-se/tses/drivers/driverstest"
	"github.com/cloud-of-se/tses/drivers/driverstest/chipsim"
	"github.com/cloud-of-se/tses/drivers/spi"
)

// dialects are the drivers' names with the chips that speak them, and their
// answers to reset.
var dialects = []struct {
	name   string
	family *chipsim.Family
	atr    string
}{
	{spi.GlobalPlatform, chipsim.GP, "3B 84 01 543D3127 FA"},
	{spi.NXPGlobalPlatform, chipsim.NXPGP, "3B 84 01 543D3127 FA"},
	{spi.NXPeSE, chipsim.NXPeSE, "3B 80 01 81"},
	{spi.ST54, chipsim.ST54, "3B 85 01 535435344A C8"},
	{spi.Thales, chipsim.Thales, "3B 83 81 11 20 655345 40"},
}

// open makes a driver with a chip on a port.
func open(t *testing.T, dialect string, o chipsim.Options, withReset bool) (*spi.Dev, *chipsim.Chip) {
	t.Helper()
	o.Wire = chipsim.SPI
	chip := chipsim.New(o)
	t.Cleanup(chip.Close)
	opts := spi.DefaultOpts
	opts.Dialect = dialect
	opts.BWT = o.BWT // not all chips tell it
	if withReset {
		opts.Reset = chipsim.NewResetPin(chip, opts.ResetActive)
	}
	se, err := spi.New(chipsim.NewSPI("SPI0.0", chip), &opts)
	if err != nil {
		t.Fatal(err)
	}
	return se, chip
}

func TestConformance(t *testing.T) {
	for _, d := range dialects {
		for _, idle := range []byte{0x00, 0xFF} {
			for _, withReset := range []bool{false, true} {
				if d.name == spi.ST54 && !withReset {
					continue // it starts by a reset pulse
				}
				t.Run(fmt.Sprintf("%s, idle %02X, reset pin %v", d.name, idle, withReset), func(t *testing.T) {
					var card *driverstest.Scripted
					driverstest.Conformance(t, func(t *testing.T) drivers.SE {
						card = driverstest.NewScripted(driverstest.Options{})
						se, chip := open(t, d.name, chipsim.Options{Family: d.family, Brain: card, IdleByte: idle}, withReset)
						t.Cleanup(func() { rightful(t, chip) })
						return se
					}, probe(&card, d.atr))
				})
			}
		}
	}
}

// rightful fails the test for what the driver did against the chip's rules.
func rightful(t *testing.T, chip *chipsim.Chip) {
	t.Helper()
	for _, finding := range chip.Audit() {
		t.Errorf("%s: %s", chip, finding)
	}
}

// probe asks for commands of all cases, the longest included.
func probe(card **driverstest.Scripted, atr string) driverstest.Probe {
	ex := func(name, command, want string) driverstest.Exchange {
		return driverstest.Exchange{Name: name, Command: unhex(command), Want: unhex(want)}
	}
	p := driverstest.Probe{
		Bubble: true, ATR: unhex(atr),
		Slow: unhex("80DD7530"), SlowTime: 30 * time.Second,
		Executed: func() int64 { return (*card).Counts().Commands },
		Exchanges: []driverstest.Exchange{
			ex("case 1", "805A6A82", "6A82"),
			ex("case 2", "00B0000008", pattern(8)+"9000"),
			ex("case 3", "00D6000004 01020304", "9000"),
			ex("case 4", "80E0000004 0102030400", "01020304 9000"),
			ex("61", "80610010", "6110"),
		},
	}
	p.Exchanges = append(p.Exchanges,
		ex("case 2, 256", "00B0000000", pattern(256)+"9000"),
		ex("case 2 extended", "00B00000000000", pattern(65536)+"9000"),
		ex("case 3 extended", "00D60000 000400"+pattern(1024), "9000"),
		ex("case 4 extended", "80E00000 00FFFF"+pattern(65535)+"0000", pattern(65535)+"9000"),
	)
	return p
}

func pattern(n int) string { return hex.EncodeToString(driverstest.Pattern(n)) }

func unhex(s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		panic(err)
	}
	return b
}
