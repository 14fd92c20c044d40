package i2c_test

import (
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/cloud-of-se/tses/drivers/driverstest/chipsim"
	"github.com/cloud-of-se/tses/drivers/driverstest/pivwalk"
	"github.com/cloud-of-se/tses/drivers/i2c"
)

// TestWhatIsLeft: what the next user finds of a PIN that the one before has
// verified, in each dialect, with a reset pin and without, on chips whose reset
// by a block is of the whole chip and on those where it is of the interface. Where
// something can be left the driver says so.
func TestWhatIsLeft(t *testing.T) {
	keeps := map[string]bool{i2c.UM11225: true, i2c.IoSE: true} // without a reset pin
	for _, d := range dialects {
		for _, withReset := range []bool{false, true} {
			for _, ofInterface := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, reset pin %v, of the interface %v", d.name, withReset, ofInterface), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						brain, err := pivwalk.NewBrain(false)
						if err != nil {
							t.Fatal(err)
						}
						se, chip := open(t, d.name, chipsim.Options{Family: d.family, Brain: brain, Interface: ofInterface}, withReset)
						defer func() {
							chip.Close()
							if err := brain.Close(); err != nil {
								t.Error(err)
							}
						}()
						kept := !withReset && keeps[d.name]
						if why := se.Keeps(); (why != nil) != kept {
							t.Errorf("Keeps: %v, want a reason: %v", why, kept)
						}
						left, err := pivwalk.PINLeft(t.Context(), se)
						if want := kept && ofInterface; err != nil || left != want {
							t.Errorf("the PIN of the user before is verified: %v, %v; want %v", left, err, want)
						}
					})
				})
			}
		}
	}
}
