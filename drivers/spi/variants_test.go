package spi_test

import (
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloud-of-se/tses/drivers"
	"github.com/cloud-of-se/tses/drivers/driverstest/chipsim"
	"github.com/cloud-of-se/tses/drivers/driverstest/ordeal"
	"github.com/cloud-of-se/tses/drivers/spi"
)

// stale are bytes that a chip's shift register may hold: no NAD, the NAD of each
// direction, what cannot be one.
var stale = []byte{0x34, 0x12, 0x21, 0x0F, 0xA5}

// TestVariants: chips that want the bus used in unusual ways.
func TestVariants(t *testing.T) {
	for name, tt := range map[string]struct {
		dialect string
		chip    chipsim.Options
	}{
		"16 bytes in an access":           {spi.GlobalPlatform, chipsim.Options{Family: chipsim.GP, MaxAccess: 16}},
		"7 bytes in an access, small IFS": {spi.GlobalPlatform, chipsim.Options{Family: chipsim.GP, MaxAccess: 7, IFSC: 8, MaxIFSD: 16}},
		"slow, with long guard times":     {spi.GlobalPlatform, chipsim.Options{Family: chipsim.GP, Clock: 100e3, Guard: 5 * time.Millisecond, Poll: 20 * time.Millisecond}},
		"sleeps soon":                     {spi.GlobalPlatform, chipsim.Options{Family: chipsim.GP, Sleep: 5 * time.Millisecond, Wake: 300 * time.Microsecond}},
		"ST54 with LRC":                   {spi.ST54, chipsim.Options{Family: chipsim.ST54, LRC: true}},
		"ST54 with small blocks":          {spi.ST54, chipsim.Options{Family: chipsim.ST54, IFSC: 16}},
		"NXP with long blocks":            {spi.NXPeSE, chipsim.Options{Family: chipsim.NXPeSE, IFSC: 1024, MaxIFSD: 1024}},
		"NXP with small blocks":           {spi.NXPeSE, chipsim.Options{Family: chipsim.NXPeSE, IFSC: 100, MaxIFSD: 100}},
		"NXP with CRC":                    {spi.NXPeSE, chipsim.Options{Family: chipsim.NXPeSE, CRC: true}},
		"NXP with a guard time":           {spi.NXPeSE, chipsim.Options{Family: chipsim.NXPeSE, BGT: 2 * time.Millisecond, Clock: 8e6}},
		"NXP that needs time":             {spi.NXPeSE, chipsim.Options{Family: chipsim.NXPeSE, BWT: 5 * time.Second, Think: func([]byte) time.Duration { return 3 * time.Second }}},
		"NXP that says nothing":           {spi.NXPeSE, chipsim.Options{Family: chipsim.NXPeSE, Parameters: []byte{}}},
		"short S(IFS) alone":              {spi.GlobalPlatform, chipsim.Options{Family: chipsim.GP, ShortIFS: true}},
		"NXP, short S(IFS) alone":         {spi.NXPeSE, chipsim.Options{Family: chipsim.NXPeSE, ShortIFS: true, IFSC: 1024, MaxIFSD: 1024}},
		"Thales with TS":                  {spi.Thales, chipsim.Options{Family: chipsim.Thales, TS: true}},
		"stale bytes":                     {spi.GlobalPlatform, chipsim.Options{Family: chipsim.GP, Stale: stale}},
		"stale bytes, idle FF":            {spi.GlobalPlatform, chipsim.Options{Family: chipsim.GP, Stale: stale, IdleByte: 0xFF}},
		"stale bytes, small IFS":          {spi.GlobalPlatform, chipsim.Options{Family: chipsim.GP, Stale: stale, IFSC: 8, MaxIFSD: 16, MaxAccess: 16}},
		"stale bytes of NXP":              {spi.NXPeSE, chipsim.Options{Family: chipsim.NXPeSE, Stale: []byte{0x34, 0xA5, 0x5A}}},
		"stale bytes of ST54":             {spi.ST54, chipsim.Options{Family: chipsim.ST54, Stale: []byte{0x34, 0x12}}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tt.chip.Brain = &ordeal.Brain{}
				se, chip := open(t, tt.dialect, tt.chip, tt.dialect == spi.ST54)
				if _, err := se.PowerOn(t.Context()); err != nil {
					t.Fatalf("%v\n%s", err, strings.Join(chip.History(), "\n"))
				}
				for i := range 20 {
					if i == 10 {
						if _, err := se.Reset(t.Context(), drivers.Warm); err != nil {
							t.Fatalf("warm reset: %v\n%s", err, strings.Join(chip.History(), "\n"))
						}
					}
					time.Sleep(time.Duration(i%3) * 10 * time.Millisecond)
					command := append([]byte{0x80, 0x01, 0, byte(i), 0, 3, 0}, make([]byte, 768)...)
					command = append(command, 2, byte(i))
					answer, err := se.Transmit(t.Context(), command)
					if want := ordeal.Answer(command); err != nil || string(answer) != string(want) {
						t.Fatalf("command %d: %d bytes, %v; want %d bytes", i, len(answer), err, len(want))
					}
				}
				rightful(t, chip)
			})
		})
	}
}

// TestFaintedChecksum: a chip that has told another checksum than its first one
// and has restarted by itself has its first one again. A warm reset finds it.
func TestFaintedChecksum(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		faults := &chipsim.Faults{Chances: chipsim.Chances{FaintBefore: 1}, Rand: rand.New(rand.NewPCG(1, 1)), Off: true}
		se, chip := open(t, spi.NXPeSE, chipsim.Options{Family: chipsim.NXPeSE, CRC: true, Brain: &ordeal.Brain{}, Faults: faults, BWT: 100 * time.Millisecond}, false)
		if _, err := se.PowerOn(t.Context()); err != nil {
			t.Fatal(err)
		}
		command := []byte{0x80, 1, 2, 3}
		faults.Switch(chip, true)
		if _, err := se.Transmit(t.Context(), command); err == nil {
			t.Error("a chip that faints has answered")
		}
		faults.Switch(chip, false)
		if _, err := se.Reset(t.Context(), drivers.Warm); err != nil {
			t.Fatalf("warm reset: %v\n%s", err, strings.Join(chip.History(), "\n"))
		}
		answer, err := se.Transmit(t.Context(), command)
		if want := ordeal.Answer(command); err != nil || string(answer) != string(want) {
			t.Errorf("Transmit: %X, %v; want %X", answer, err, want)
		}
	})
}
