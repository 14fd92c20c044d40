package spi_test

import (
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloud-of-se/tses/apdu"
	"github.com/cloud-of-se/tses/drivers/driverstest/chipsim"
	"github.com/cloud-of-se/tses/drivers/driverstest/ordeal"
)

// TestNothingWrong sends random commands through every dialect while everything
// fails that can.
func TestNothingWrong(t *testing.T) {
	for i, d := range dialects {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				brain := &ordeal.Brain{}
				faults := &chipsim.Faults{
					Chances: chipsim.Rough(), Off: true,
					Rand: rand.New(rand.NewPCG(ordeal.Seed(), uint64(i))),
				}
				se, chip := open(t, d.name, chipsim.Options{
					Family: d.family, Brain: brain, Faults: faults,
					BWT: 100 * time.Millisecond, Boot: 3 * time.Millisecond,
				}, true)
				trial := ordeal.Trial{
					SE: se, Brain: brain, Rand: rand.New(rand.NewPCG(ordeal.Seed()+1, uint64(i))),
					Commands:   ordeal.Commands() / len(dialects),
					MaxCommand: apdu.MaxCommand, MaxAnswer: apdu.MaxResponse - 2,
					Faults: func(on bool) { faults.Switch(chip, on) },
				}
				t.Cleanup(func() {
					if t.Failed() {
						t.Logf("the chip:\n%s", strings.Join(chip.History(), "\n"))
					}
				})
				start := time.Now()
				r := trial.Run(t)
				t.Logf("%+v; %d faults, %d restarts, %v on the wire", r, faults.Total(), chip.SelfResets(), time.Since(start))
				rightful(t, chip)
			})
		})
	}
}
