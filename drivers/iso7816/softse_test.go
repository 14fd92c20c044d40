package iso7816_test

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/cloud-of-se/tses/apdu"
	"github.com/cloud-of-se/tses/drivers/driverstest/cardsim"
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
