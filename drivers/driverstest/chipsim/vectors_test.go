package chipsim_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/physic"
	"periph.io/x/conn/v3/spi"

	"github.com/cloud-of-se/tses/drivers/driverstest"
	"github.com/cloud-of-se/tses/drivers/driverstest/chipsim"
)

// The bytes here are literal and from outside: ST's, NXP's and Thales's own
// hosts, UM11225. Two sides that one team wrote can share a misreading; package
// spi holds the driver to the same bytes.

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// host speaks raw bytes to a chip.
type host func(t *testing.T, write string, n int) []byte

// onSPI is a host that reads from the first byte on that is not idle.
func onSPI(t *testing.T, c *chipsim.Chip) host {
	conn, err := chipsim.NewSPI("SPI0.0", c).Connect(physic.MegaHertz, spi.Mode0, 8)
	if err != nil {
		t.Fatal(err)
	}
	tx := func(b []byte) []byte {
		time.Sleep(3 * time.Millisecond)
		r := make([]byte, len(b))
		if err := conn.Tx(b, r); err != nil {
			t.Fatal(err)
		}
		return r
	}
	return func(t *testing.T, write string, n int) []byte {
		if write != "" {
			tx(unhex(t, write))
		}
		for range 100 {
			first := tx(make([]byte, 1))
			if first[0] != 0 {
				return append(first, tx(make([]byte, n-1))...)
			}
		}
		t.Fatalf("no answer to %s", write)
		return nil
	}
}

// onI2C is a host at address 48.
func onI2C(t *testing.T, c *chipsim.Chip) host {
	bus := chipsim.NewI2C(400e3)
	bus.Attach(0x48, c)
	again := func(w, r []byte) {
		t.Helper()
		for range 200 {
			time.Sleep(3 * time.Millisecond)
			err := bus.Tx(0x48, w, r)
			if err == nil {
				return
			}
			if !errors.Is(err, chipsim.ErrNack) {
				t.Fatal(err)
			}
		}
		t.Fatalf("nobody acknowledges %X", w)
	}
	return func(t *testing.T, write string, n int) []byte {
		again(unhex(t, write), nil)
		answer := make([]byte, n)
		again(nil, answer)
		return answer
	}
}

const atp = "25 5354564944 0690 01 28 1F40 01 FE 535435344A 0000000000000000000000000000000000 223E"

// TestVectors: what the chips say, byte by byte.
func TestVectors(t *testing.T) {
	type step struct{ write, want string }
	for name, tt := range map[string]struct {
		chip  chipsim.Options
		steps []step
	}{
		"ST54": {chipsim.Options{Family: chipsim.ST54, Wire: chipsim.SPI}, []step{
			{"", atp},
			{"21 C1 01 FE 59 38", "12 E1 01 FE 5D 52"},
			{"21 CF 00 49 D6", "12 EF 26" + atp + "B4 55"},
		}},
		"NXP eSE": {chipsim.Options{Family: chipsim.NXPeSE, Wire: chipsim.SPI, IFSC: 1024, MaxIFSD: 1024, Clock: 8e6}, []step{
			{"5A C4 00 C4", "A5 E4 15 A000000320 01 0000 0658 1F40 00 FE 01 0400 000C 00 01 84"},
			{"5A C1 02 0400 C7", "A5 E1 02 0400 E7"},
			{"5A C1 02 0401 C6", "A5 82 00 82"}, // an IFSD above its most
			{"5A C5 00 C5", "A5 E5 00 E5"},
		}},
		"PN80T": {chipsim.Options{Family: chipsim.NXPeSE, Wire: chipsim.SPI, Parameters: []byte{}}, []step{
			{"5A C4 00 C4", "A5 E4 00 E4"},
		}},
		"Thales": {chipsim.Options{Family: chipsim.Thales, Wire: chipsim.SPI}, []step{
			{"12 C5 00 D7", "21 E5 08 83 81 11 20 655345 40 CC"},
			{"12 C1 01 FE 2C", "21 E1 01 FE 3F"},
		}},
		"UM11225": {chipsim.Options{Family: chipsim.SE050}, []step{
			{"5A CF 00 37 7F", "A5 EF 23 00A000000396 04 03E8 00FE 02 0B 03E8 08 01 000000 0064 0000 0A 4A434F5034204154504F 87 77"},
			{"5A C6 00 2F A8", "A5 E6 00 EF 4D"}, // chip reset
			{"5A C7 00 F7 B1", "A5 E7 23 00A000000396 04 03E8 00FE 02 0B 03E8 08 01 000000 0064 0000 0A 4A434F5034204154504F 2A 8D"},
			{"5A DF 00 A6 EA", "A5 FF 00 66 0F"}, // deep power down, from which the next access wakes it
			{"5A C0 00 FF FC", "A5 E0 00 3F 19"},
		}},
		"NXP GlobalPlatform": {chipsim.Options{Family: chipsim.NXPGP}, []step{
			{"5A DE 00 00 6A 72", "A5 FE 00 00 AC 9B"}, // cold reset
			{"5A DF 00 00 30 AE", "A5 FF 00 00 F6 47"}, // deep power down
			{"5A C0 00 00 FF FC", "A5 E0 00 00"},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tt.chip.Brain = driverstest.NewScripted(driverstest.Options{})
				chip := chipsim.New(tt.chip)
				defer chip.Close()
				ask := onI2C(t, chip)
				if tt.chip.Wire == chipsim.SPI {
					ask = onSPI(t, chip)
				}
				if tt.chip.Family == chipsim.ST54 { // it speaks after a reset pulse
					pin := chipsim.NewResetPin(chip, gpio.Low)
					for _, level := range []gpio.Level{gpio.Low, gpio.High} {
						if err := pin.Out(level); err != nil {
							t.Fatal(err)
						}
					}
					time.Sleep(50 * time.Millisecond) // as ST's host does
				}
				for _, step := range tt.steps {
					want := unhex(t, step.want)
					if got := ask(t, step.write, len(want)); !bytes.Equal(got, want) {
						t.Fatalf("after %q: got %X, want %X\n%s", step.write, got, want, strings.Join(chip.History(), "\n"))
					}
				}
			})
		})
	}
}

// TestDeepPowerDown: a chip that has powered down does not acknowledge until it
// has booted again, and then knows nothing of before.
func TestDeepPowerDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chip := chipsim.New(chipsim.Options{Family: chipsim.SE050, Brain: driverstest.NewScripted(driverstest.Options{})})
		defer chip.Close()
		ask := onI2C(t, chip)
		ask(t, "5A DF 00 A6 EA", 5)
		if history := strings.Join(chip.History(), "\n"); !strings.HasSuffix(history, "powers down") {
			t.Errorf("it has not powered down:\n%s", history)
		}
		bus := chipsim.NewI2C(400e3)
		bus.Attach(0x48, chip)
		time.Sleep(time.Second)
		if err := bus.Tx(0x48, unhex(t, "5A CF 00 37 7F"), nil); !errors.Is(err, chipsim.ErrNack) {
			t.Errorf("the access that wakes it: %v, want %v", err, chipsim.ErrNack)
		}
		time.Sleep(5 * time.Millisecond)
		if err := bus.Tx(0x48, unhex(t, "5A CF 00 37 7F"), nil); err != nil {
			t.Errorf("after its boot: %v", err)
		}
		for _, finding := range chip.Audit() {
			t.Error(finding)
		}
	})
}

// TestClocks: what a chip says about its clock is one that its bus has.
func TestClocks(t *testing.T) {
	for name, tt := range map[string]struct {
		chip chipsim.Options
		cip  string // the field in kHz
	}{
		"GlobalPlatform on I2C":      {chipsim.Options{Family: chipsim.GP}, "02 08 00 0A 0190"},
		"NXP GlobalPlatform on I2C":  {chipsim.Options{Family: chipsim.NXPGP}, "02 08 00 0A 03E8"},
		"a slow one by choice":       {chipsim.Options{Family: chipsim.GP, Clock: 100e3}, "02 08 00 0A 0064"},
		"GlobalPlatform on SPI":      {chipsim.Options{Family: chipsim.GP, Wire: chipsim.SPI}, "01 0C 00 0A 2710"},
		"NXP GlobalPlatform, on SPI": {chipsim.Options{Family: chipsim.NXPGP, Wire: chipsim.SPI}, "01 0C 00 0A 2710"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tt.chip.Brain = driverstest.NewScripted(driverstest.Options{})
				chip := chipsim.New(tt.chip)
				defer chip.Close()
				ask, n := onI2C(t, chip), 37
				if tt.chip.Wire == chipsim.SPI {
					ask, n = onSPI(t, chip), 41
				}
				request := "21 C4 00 00 06 CD"
				if tt.chip.Family == chipsim.NXPGP {
					request = "5A C4 00 00 9C 9D"
				}
				if got := ask(t, request, n); !bytes.Contains(got, unhex(t, tt.cip)) {
					t.Errorf("its CIP %X has not %s", got, tt.cip)
				}
			})
		})
	}
}
