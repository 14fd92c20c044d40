package i2c_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloud-of-se/tses/drivers/driverstest/chipsim"
	"github.com/cloud-of-se/tses/drivers/driverstest/wirelimit"
	"github.com/cloud-of-se/tses/drivers/i2c"
)

// wire is a chip with its clock and guard time.
type wire struct {
	dialect  string
	family   *chipsim.Family
	clock    int64
	ifs      int
	overhead int
	guard    time.Duration
}

// wires are the links whose limits are measured.
func wires() []wire {
	var all []wire
	for _, clock := range []int64{100e3, 400e3, 1000e3} {
		for _, guard := range []time.Duration{0, 100 * time.Microsecond} {
			all = append(all,
				wire{i2c.UM11225, chipsim.SE050, clock, 254, 5, guard},
				wire{i2c.GlobalPlatform, chipsim.GP, clock, 4089, 6, guard})
		}
	}
	return append(all,
		wire{i2c.NXPGlobalPlatform, chipsim.NXPGP, 400e3, 4089, 6, 100 * time.Microsecond},
		wire{i2c.IoSE, chipsim.IoSE, 100e3, 255, 5, 50 * time.Microsecond})
}

// TestWireLimit prints the table with -v.
func TestWireLimit(t *testing.T) {
	t.Log("\n" + wirelimit.Header())
	for _, w := range wires() {
		for _, think := range wirelimit.Thinks {
			for _, job := range wirelimit.Jobs {
				if job.Longest() > w.ifs && w.dialect == i2c.IoSE {
					continue // it has no chaining
				}
				synctest.Test(t, func(t *testing.T) { measure(t, w, think, job) })
			}
		}
	}
}

func measure(t *testing.T, w wire, think wirelimit.Think, job wirelimit.Job) {
	chip := chipsim.New(chipsim.Options{
		Family: w.family, Brain: wirelimit.Brain{},
		Clock: 1e6, IFSC: w.ifs, MaxIFSD: w.ifs, Guard: w.guard, NoGuard: w.guard == 0,
		Think: think.Times(),
	})
	t.Cleanup(chip.Close)
	bus := chipsim.NewI2C(min(w.clock, 400e3)) // until the chip has told its clock
	bus.Attach(addr, chip)
	opts := i2c.DefaultOpts
	opts.Dialect = w.dialect
	opts.Guard = w.guard // the grid boards do not tell theirs
	se, err := i2c.New(bus, addr, &opts)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := se.PowerOn(t.Context()); err != nil {
		t.Fatal(err)
	}
	bus.SetClock(w.clock)
	link := wirelimit.Link{
		Name:   fmt.Sprintf("I2C %d kHz %s, IFS %d, guard %v, chip %v", w.clock/1000, w.dialect, w.ifs, w.guard, think),
		Access: func(n int) time.Duration { return chipsim.I2CTime(n, w.clock) },
		Guard:  w.guard, Overhead: w.overhead, IFSC: w.ifs, IFSD: w.ifs, Think: think,
	}
	wirelimit.Measure(t, se, chip, link, job).Judge(t, chip)
}
