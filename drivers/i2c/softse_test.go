package i2c_test

import (
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloud-of-se/tses/drivers/driverstest/chipsim"
	"github.com/cloud-of-se/tses/drivers/driverstest/pivwalk"
	"github.com/cloud-of-se/tses/drivers/i2c"
)

// extends is S(WTX request) in the history of a chip.
var extends = regexp.MustCompile(`says +..C3`)

// TestPIV puts the software SE into the chips: a key is made, which takes them
// three seconds, and signs.
func TestPIV(t *testing.T) {
	const work = 3 * time.Second
	for _, d := range dialects {
		t.Run(d.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				brain, err := pivwalk.NewBrain(false)
				if err != nil {
					t.Fatal(err)
				}
				defer func() {
					if err := brain.Close(); err != nil {
						t.Error(err)
					}
				}()
				se, chip := open(t, d.name, chipsim.Options{Family: d.family, Brain: brain, Think: func(command []byte) time.Duration {
					if pivwalk.IsGenerate(command) {
						return work
					}
					return 0
				}}, true)
				defer chip.Close() // before its brain
				if _, err := se.PowerOn(t.Context()); err != nil {
					t.Fatal(err)
				}
				start := time.Now()
				if err := pivwalk.Walk(t.Context(), se.Transmit); err != nil {
					t.Fatalf("%v\n%s", err, strings.Join(chip.History(), "\n"))
				}
				if took := time.Since(start); took < work {
					t.Errorf("it took %v, the chip needs %v", took, work)
				}
				if d.name != i2c.IoSE && !extends.MatchString(strings.Join(chip.History(), "\n")) {
					t.Error("the chip has not asked for more time")
				}
				if err := se.Halt(); err != nil {
					t.Error(err)
				}
				rightful(t, chip)
			})
		})
	}
}
