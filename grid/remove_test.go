package grid_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloud-of-se/tses/drivers"
	"github.com/cloud-of-se/tses/drivers/driverstest"
	"github.com/cloud-of-se/tses/grid"
)

// inventory has "sim" with the alias "phone", and "token".
func inventory(t *testing.T) (*grid.Grid, *driverstest.Scripted) {
	t.Helper()
	g, sim := grid.New(), driverstest.NewScripted(driverstest.Options{Name: "sim"})
	for _, err := range []error{
		g.Add("sim", sim),
		g.Alias("phone", "sim"),
		g.Add("token", driverstest.NewScripted(driverstest.Options{Name: "token"})),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return g, sim
}

var command = []byte{0x00, 0xB0, 0x00, 0x00, 0x02}

func TestRemoveFree(t *testing.T) {
	g, _ := inventory(t)
	s := g.NewSession("alice")
	defer s.Close()
	if err := g.Remove(t.Context(), "phone"); err != nil {
		t.Fatal(err)
	}
	if got := g.SEIDs(); !slices.Equal(got, []string{"token"}) {
		t.Errorf("SEIDs are %q, want token alone", got)
	}
	if _, _, err := s.PowerOn(t.Context(), "sim"); !errors.Is(err, grid.ErrUnknown) {
		t.Errorf("PowerOn: %v, want %v", err, grid.ErrUnknown)
	}
	if _, lost := s.Lost("sim"); lost {
		t.Error("a session has lost what it did not have")
	}
	if err := g.Remove(t.Context(), "sim"); !errors.Is(err, grid.ErrUnknown) {
		t.Errorf("Remove again: %v, want %v", err, grid.ErrUnknown)
	}
}

func TestRemoveOwned(t *testing.T) {
	g, sim := inventory(t)
	alice, bob := g.NewSession("alice"), g.NewSession("bob")
	defer alice.Close()
	defer bob.Close()
	if _, _, err := alice.PowerOn(t.Context(), "phone"); err != nil {
		t.Fatal(err)
	}
	if err := g.Remove(t.Context(), "sim"); err != nil || sim.On() {
		t.Fatalf("Remove: %v, on %v; want it off", err, sim.On())
	}
	for _, seid := range []string{"sim", "phone"} {
		if _, err := alice.Transmit(t.Context(), seid, command); !errors.Is(err, drivers.ErrRemoved) {
			t.Errorf("%s: Transmit: %v, want %v", seid, err, drivers.ErrRemoved)
		}
		if _, err := alice.Reset(t.Context(), seid, drivers.Warm); !errors.Is(err, drivers.ErrRemoved) {
			t.Errorf("%s: Reset: %v, want %v", seid, err, drivers.ErrRemoved)
		}
		if _, _, err := alice.PowerOn(t.Context(), seid); !errors.Is(err, drivers.ErrNoCard) {
			t.Errorf("%s: PowerOn: %v, want %v", seid, err, drivers.ErrNoCard)
		}
		if canonical, lost := alice.Lost(seid); !lost || canonical != "sim" {
			t.Errorf("Lost(%s) = %q, %v", seid, canonical, lost)
		}
		if err := bob.Check(seid); !errors.Is(err, grid.ErrUnknown) {
			t.Errorf("%s: bob is told %v, want %v", seid, err, grid.ErrUnknown)
		}
	}
	if err := alice.PowerOff("sim"); err != nil {
		t.Errorf("PowerOff: %v", err)
	}
	if err := alice.Check("phone"); !errors.Is(err, grid.ErrUnknown) {
		t.Errorf("after PowerOff: %v, want %v", err, grid.ErrUnknown)
	}
}

// The SEID comes back with another card: its owner does not take it for the
// one that it had.
func TestRemoveAndAdd(t *testing.T) {
	g, old := inventory(t)
	s := g.NewSession("alice")
	defer s.Close()
	if _, _, err := s.PowerOn(t.Context(), "sim"); err != nil {
		t.Fatal(err)
	}
	if err := g.Remove(t.Context(), "sim"); err != nil {
		t.Fatal(err)
	}
	now := driverstest.NewScripted(driverstest.Options{Name: "sim"})
	if err := g.Add("sim", now); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Transmit(t.Context(), "sim", command); !errors.Is(err, drivers.ErrRemoved) {
		t.Errorf("Transmit: %v, want %v", err, drivers.ErrRemoved)
	}
	if _, already, err := s.PowerOn(t.Context(), "sim"); err != nil || already {
		t.Fatalf("PowerOn: %v, already on %v", err, already)
	}
	if _, err := s.Transmit(t.Context(), "sim", command); err != nil {
		t.Errorf("Transmit after PowerOn: %v", err)
	}
	if old.Counts().Commands != 0 || now.Counts().Commands != 1 {
		t.Errorf("the old SE got %d commands, the new one %d", old.Counts().Commands, now.Counts().Commands)
	}
}

// A command under way ends first; who cannot wait leaves the rest to the end of
// the session.
func TestRemoveInCommand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, sim := inventory(t)
		s := g.NewSession("alice")
		if _, _, err := s.PowerOn(t.Context(), "sim"); err != nil {
			t.Fatal(err)
		}
		sim.SetFault(driverstest.Hang)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() {
			_, err := s.Transmit(ctx, "sim", command)
			done <- err
		}()
		synctest.Wait()
		soon, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		if err := g.Remove(soon, "sim"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Remove: %v, want %v", err, context.DeadlineExceeded)
		}
		if slices.Contains(g.SEIDs(), "sim") {
			t.Error("it is still listed")
		}
		sim.SetFault(driverstest.Healthy)
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Transmit: %v", err)
		}
		if err := s.Close(); err != nil || sim.On() {
			t.Errorf("Close: %v, on %v; want it off", err, sim.On())
		}
		if sim.Counts().Overlaps != 0 {
			t.Error("the SE got two calls at a time")
		}
	})
}

// It is removed while it is being powered on.
func TestRemoveInPowerOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, sim := inventory(t)
		s := g.NewSession("alice")
		defer s.Close()
		ctx, cancel := context.WithCancel(t.Context())
		sim.SetFault(driverstest.Hang)
		done := make(chan error)
		go func() {
			_, _, err := s.PowerOn(ctx, "sim")
			done <- err
		}()
		synctest.Wait()
		removed := make(chan error)
		go func() { removed <- g.Remove(t.Context(), "sim") }()
		synctest.Wait()
		sim.SetFault(driverstest.Healthy)
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("PowerOn: %v", err)
		}
		if err := <-removed; err != nil || sim.On() {
			t.Errorf("Remove: %v, on %v; want it off", err, sim.On())
		}
	})
}

// The driver says that its card was pulled: the owner powers it on again when
// it is back, without powering it off before.
func TestPulledAndBack(t *testing.T) {
	g, sim := inventory(t)
	s := g.NewSession("alice")
	defer s.Close()
	if _, _, err := s.PowerOn(t.Context(), "sim"); err != nil {
		t.Fatal(err)
	}
	sim.SetFault(driverstest.Removed)
	if _, err := s.Transmit(t.Context(), "sim", command); !errors.Is(err, drivers.ErrRemoved) {
		t.Errorf("Transmit: %v, want %v", err, drivers.ErrRemoved)
	}
	if _, already, err := s.PowerOn(t.Context(), "sim"); !errors.Is(err, drivers.ErrNoCard) || already {
		t.Errorf("PowerOn without the card: %v, already on %v; want %v", err, already, drivers.ErrNoCard)
	}
	sim.SetFault(driverstest.Healthy)
	if atr, already, err := s.PowerOn(t.Context(), "sim"); err != nil || already || len(atr) == 0 {
		t.Errorf("PowerOn with the card: %X, already on %v, %v", atr, already, err)
	}
	if _, err := s.Transmit(t.Context(), "sim", command); err != nil {
		t.Errorf("Transmit: %v", err)
	}
}
