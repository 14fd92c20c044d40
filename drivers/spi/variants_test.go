package spi_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloud-of-se/tses/drivers/driverstest/chipsim"
	"github.com/cloud-of-se/tses/drivers/driverstest/ordeal"
	"github.com/cloud-of-se/tses/drivers/spi"
)

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
		"NXP with long blocks":            {spi.NXPeSE, chipsim.Options{Family: chipsim.NXPeSE, MaxIFSD: 1024}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tt.chip.Brain = &ordeal.Brain{}
				se, chip := open(t, tt.dialect, tt.chip, tt.dialect == spi.ST54)
				if _, err := se.PowerOn(t.Context()); err != nil {
					t.Fatal(err)
				}
				for i := range 20 {
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
