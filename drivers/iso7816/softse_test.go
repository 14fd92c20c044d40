package iso7816_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloud-of-se/tses/apdu"
	"github.com/cloud-of-se/tses/drivers/driverstest/cardsim"
	"github.com/cloud-of-se/tses/drivers/driverstest/pivwalk"
	"github.com/cloud-of-se/tses/drivers/softse"
)

// TestSoftSE puts the software SE into the simulated card: SELECT of the issuer
// security domain, by T=0 with GET RESPONSE and by T=1 at once.
func TestSoftSE(t *testing.T) {
	for _, tt := range []struct {
		name string
		t0   bool
		atr  []byte
	}{
		{"T=0", true, cardsim.WithTA1(false, 0x96, 0, 0)},
		{"T=1", false, cardsim.WithTA1(false, 0x96, 0, 1)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				brain, err := softse.New(softse.Opts{Name: "brain", T0: tt.t0})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() {
					if err := brain.Close(); err != nil {
						t.Error(err)
					}
				})
				d, _ := open(t, cardsim.Options{Brain: brain, ATR: tt.atr}, nil)
				if _, err := d.PowerOn(t.Context()); err != nil {
					t.Fatal(err)
				}
				answer := getAll(t, d, unhex(t, "00A4040008A00000015100000000"))
				r, err := apdu.ParseResponse(answer)
				if err != nil || r.SW != apdu.SWSuccess || !strings.Contains(string(r.Data), "\x84\x08\xA0\x00\x00\x01\x51") {
					t.Errorf("SELECT: %X, %v; want the FCI of the issuer security domain", answer, err)
				}
			})
		})
	}
}

// TestPIV: a key is made in the software SE, which takes the card three
// seconds, and signs. The card has to ask for that by NULL bytes or S(WTX): its
// waiting times are below two seconds.
func TestPIV(t *testing.T) {
	const work = 3 * time.Second
	for _, tt := range []struct {
		name string
		t0   bool
		atr  []byte
	}{
		{"T=0", true, cardsim.WithTA1(false, 0x96, 0, 0)},
		{"T=0, inverse", true, cardsim.WithTA1(true, 0, 0, 0)},
		{"T=1", false, cardsim.WithTA1(false, 0x96, 0, 1)},
		{"T=1, N 255", false, cardsim.WithTA1(false, 0x97, 255, 1)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				brain, err := pivwalk.NewBrain(tt.t0)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() {
					if err := brain.Close(); err != nil {
						t.Error(err)
					}
				})
				d, _ := open(t, cardsim.Options{Brain: brain, ATR: tt.atr, Time: func(command []byte) time.Duration {
					if pivwalk.IsGenerate(command) {
						return work
					}
					return 0
				}}, nil)
				if _, err := d.PowerOn(t.Context()); err != nil {
					t.Fatal(err)
				}
				start := time.Now()
				if err := pivwalk.Walk(t.Context(), d.Transmit); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(start); took < work {
					t.Errorf("it took %v, the card needs %v", took, work)
				}
			})
		})
	}
}
