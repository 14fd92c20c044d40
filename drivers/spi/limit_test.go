package spi_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloud-of-se/tses/drivers/driverstest/chipsim"
	"github.com/cloud-of-se/tses/drivers/driverstest/wirelimit"
	"github.com/cloud-of-se/tses/drivers/spi"
)

// wire is a chip with its clock and guard time.
type wire struct {
	dialect  string
	family   *chipsim.Family
	clock    int64
	ifs      int
	overhead int
	guard    time.Duration
	turn     time.Duration
}

// wires are the links whose limits are measured: GPC_SPE_172 at all clocks, the
// others at their usual ones.
func wires() []wire {
	var all []wire
	for _, ifs := range []int{254, 4089} {
		for _, clock := range []int64{1e6, 4e6, 10e6} {
			for _, guard := range []time.Duration{0, 100 * time.Microsecond} {
				all = append(all, wire{spi.GlobalPlatform, chipsim.GP, clock, ifs, 6, guard, 0})
			}
		}
	}
	const guard = 100 * time.Microsecond
	return append(all,
		wire{spi.NXPGlobalPlatform, chipsim.NXPGP, 8e6, 4089, 6, guard, 0},
		wire{spi.NXPeSE, chipsim.NXPeSE, 1e6, 254, 4, guard, 0},
		wire{spi.ST54, chipsim.ST54, 8e6, 254, 5, guard, time.Millisecond},
		wire{spi.Thales, chipsim.Thales, 1e6, 254, 4, guard, 0},
	)
}

// TestWireLimit prints the table with -v.
func TestWireLimit(t *testing.T) {
	t.Log("\n" + wirelimit.Header())
	for _, w := range wires() {
		for _, think := range wirelimit.Thinks {
			for _, job := range wirelimit.Jobs {
				synctest.Test(t, func(t *testing.T) { measure(t, w, think, job) })
			}
		}
	}
}

func measure(t *testing.T, w wire, think wirelimit.Think, job wirelimit.Job) {
	se, chip := open(t, w.dialect, chipsim.Options{
		Family: w.family, Brain: wirelimit.Brain{},
		Clock: w.clock, IFSC: w.ifs, MaxIFSD: w.ifs, Guard: w.guard, NoGuard: w.guard == 0, Turn: w.turn,
		Think: think.Times(),
	}, true)
	if _, err := se.PowerOn(t.Context()); err != nil {
		t.Fatal(err)
	}
	link := wirelimit.Link{
		Name:   fmt.Sprintf("SPI %g MHz %s, IFS %d, guard %v, chip %v", float64(w.clock)/1e6, w.dialect, w.ifs, w.guard, think),
		Access: func(n int) time.Duration { return chipsim.SPITime(n, w.clock) },
		Guard:  w.guard, Turn: w.turn, Overhead: w.overhead, IFSC: w.ifs, IFSD: w.ifs, Think: think,
	}
	wirelimit.Measure(t, se, chip, link, job).Judge(t, chip)
}
