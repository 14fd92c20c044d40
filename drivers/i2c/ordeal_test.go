package i2c_test

import (
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloud-of-se/tses/apdu"
	"github.com/cloud-of-se/tses/drivers/driverstest/chipsim"
	"github.com/cloud-of-se/tses/drivers/driverstest/ordeal"
	"github.com/cloud-of-se/tses/drivers/i2c"
)

// TestNothingWrong sends random commands through every dialect while everything
// fails that can: in rough weather, and a tenth of them with small blocks in a
// storm.
func TestNothingWrong(t *testing.T) {
	for i := range dialects {
		t.Run(dialects[i].name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { nothingWrong(t, i, chipsim.Rough(), 0, ordeal.Commands()/len(dialects)) })
		})
		t.Run(dialects[i].name+" in a storm", func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { nothingWrong(t, i, chipsim.Storm(), 32, ordeal.Commands()/len(dialects)/10) })
		})
	}
}

// nothingWrong sends count commands to a chip whose blocks have at most ifs
// bytes, or its usual number.
func nothingWrong(t *testing.T, i int, chances chipsim.Chances, ifs, count int) {
	d, brain := dialects[i], &ordeal.Brain{}
	faults := &chipsim.Faults{
		Chances: chances, Off: true,
		Rand: rand.New(rand.NewPCG(ordeal.Seed(), uint64(i))),
	}
	se, chip := open(t, d.name, chipsim.Options{
		Family: d.family, Brain: brain, Faults: faults, IFSC: ifs, MaxIFSD: ifs,
		BWT: 100 * time.Millisecond, Boot: 3 * time.Millisecond,
	}, true)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the chip:\n%s", strings.Join(chip.History(), "\n"))
		}
	})
	trial := ordeal.Trial{
		SE: se, Brain: brain, Rand: rand.New(rand.NewPCG(ordeal.Seed()+1, uint64(i))),
		Commands:   count,
		MaxCommand: apdu.MaxCommand, MaxAnswer: apdu.MaxResponse - 2,
		Faults: func(on bool) { faults.Switch(chip, on) },
	}
	if d.name == i2c.IoSE { // a whole APDU is in one block
		trial.MaxCommand, trial.MaxAnswer = 255, 253
		if ifs > 0 {
			trial.MaxCommand, trial.MaxAnswer = ifs, ifs-2
		}
	}
	start := time.Now()
	r := trial.Run(t)
	t.Logf("%+v; %d faults, %d restarts, %v on the wire", r, faults.Total(), chip.SelfResets(), time.Since(start))
	rightful(t, chip)
}
