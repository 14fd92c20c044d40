package grid_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloud-of-se/tses/drivers"
	"github.com/cloud-of-se/tses/drivers/driverstest"
	"github.com/cloud-of-se/tses/grid"
)

// Who had the SE is told by whom it was taken, until it powers it on or off.
func TestFree(t *testing.T) {
	g, sim := inventory(t)
	alice, bob := g.NewSession("alice"), g.NewSession("bob")
	defer alice.Close()
	defer bob.Close()
	taken := func(when string, want bool) {
		t.Helper()
		_, err := alice.Transmit(t.Context(), "sim", command)
		if errors.Is(err, grid.ErrFreed) != want || want != (err != nil && strings.Contains(err.Error(), "by carol")) {
			t.Errorf("%s: %v", when, err)
		}
	}
	if err := g.Free(t.Context(), "sim", "carol"); err != nil || sim.Counts().PowerOffs != 0 {
		t.Errorf("nobody's: %v, %d power offs", err, sim.Counts().PowerOffs)
	}
	if err := g.Free(t.Context(), "nothing", "carol"); !errors.Is(err, grid.ErrUnknown) {
		t.Errorf("no such SE: %v", err)
	}
	if _, _, err := alice.PowerOn(t.Context(), "sim"); err != nil {
		t.Fatal(err)
	}
	if err := g.Free(t.Context(), "phone", "carol"); err != nil || sim.On() || alice.Count() != 0 { // by its alias
		t.Fatalf("Free: %v, on %v, alice has %d", err, sim.On(), alice.Count())
	}
	taken("freed", true)
	taken("again", true)
	if _, already, err := bob.PowerOn(t.Context(), "sim"); err != nil || already {
		t.Fatalf("bob: %v, already on %v", err, already)
	}
	taken("another's", true)
	if sim.Counts().Commands != 0 {
		t.Error("a command of who has it no more has reached the SE")
	}
	if err := bob.PowerOff("sim"); err != nil {
		t.Fatal(err)
	}
	if _, already, err := alice.PowerOn(t.Context(), "sim"); err != nil || already {
		t.Fatalf("alice: %v, already on %v", err, already)
	}
	taken("powered on again", false)
	if err := errors.Join(g.Free(t.Context(), "sim", "carol"), alice.PowerOff("sim")); err != nil {
		t.Fatal(err)
	}
	taken("powered off", false)
}

// A driver that fails to power off does not keep the SE.
func TestFreeFails(t *testing.T) {
	g, sim := inventory(t)
	alice, bob := g.NewSession("alice"), g.NewSession("bob")
	defer alice.Close()
	defer bob.Close()
	if _, _, err := alice.PowerOn(t.Context(), "sim"); err != nil {
		t.Fatal(err)
	}
	sim.SetFault(driverstest.PowerOffFails)
	if err := g.Free(t.Context(), "sim", "carol"); !errors.Is(err, drivers.ErrProtocol) {
		t.Errorf("got %v", err)
	}
	sim.SetFault(driverstest.Healthy)
	if _, _, err := bob.PowerOn(t.Context(), "sim"); err != nil {
		t.Errorf("bob: %v", err)
	}
}

// A command under way ends first. Who cannot wait for it changes nothing, and who
// can takes nothing from one that came after the owner.
func TestFreeInCommand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, sim := inventory(t)
		alice, bob := g.NewSession("alice"), g.NewSession("bob")
		defer alice.Close()
		defer bob.Close()
		if _, _, err := alice.PowerOn(t.Context(), "sim"); err != nil {
			t.Fatal(err)
		}
		long := []byte{0x80, 0xDD, 0x0B, 0xB8} // 3 s
		command := make(chan error)
		go func() {
			_, err := alice.Transmit(t.Context(), "sim", long)
			command <- err
		}()
		synctest.Wait()
		soon, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		if err := g.Free(soon, "sim", "carol"); !errors.Is(err, context.DeadlineExceeded) || !sim.On() {
			t.Errorf("within a second: %v, on %v", err, sim.On())
		}
		freed := make(chan error)
		go func() { freed <- g.Free(t.Context(), "sim", "carol") }()
		if err := <-command; err != nil {
			t.Errorf("the command: %v", err)
		}
		if err := <-freed; err != nil || sim.On() {
			t.Errorf("with patience: %v, on %v", err, sim.On())
		}
		if _, _, err := bob.PowerOn(t.Context(), "sim"); err != nil {
			t.Errorf("bob: %v", err)
		}
		if n := sim.Counts().Overlaps; n != 0 {
			t.Errorf("%d calls overlap", n)
		}
	})
}
