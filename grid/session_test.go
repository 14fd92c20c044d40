package grid_test

import (
	"bytes"
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

var read4 = []byte{0x00, 0xB0, 0x00, 0x00, 0x04}

// one is a grid with one card, under the SEID sim1 and the alias token.
func one(t testing.TB, o driverstest.Options) (*grid.Grid, *driverstest.Scripted) {
	t.Helper()
	g, card := grid.New(), driverstest.NewScripted(o)
	if err := errors.Join(g.Add("sim1", card), g.Alias("token", "sim1")); err != nil {
		t.Fatal(err)
	}
	return g, card
}

func powerOn(t testing.TB, s *grid.Session, seid string) []byte {
	t.Helper()
	atr, already, err := s.PowerOn(t.Context(), seid)
	if err != nil || already || len(atr) == 0 {
		t.Fatalf("PowerOn(%s) = %X, already %v, %v", seid, atr, already, err)
	}
	return atr
}

func TestOwnership(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		g, card := one(t, driverstest.Options{})
		alice, bob := g.NewSession("alice"), g.NewSession("bob")
		since := time.Now()
		atr := powerOn(t, alice, "sim1")
		time.Sleep(time.Minute)

		refused := func(what string, err error) {
			t.Helper()
			var inUse *grid.InUseError
			if !errors.As(err, &inUse) || *inUse != (grid.InUseError{SEID: "sim1", Holder: "alice", Since: since}) {
				t.Errorf("%s: %v, want in use by alice since %s", what, err, since)
			}
		}
		_, _, err := bob.PowerOn(ctx, "token")
		refused("power on", err)
		_, err = bob.Reset(ctx, "sim1", drivers.Cold)
		refused("reset", err)
		_, err = bob.Transmit(ctx, "sim1", read4)
		refused("transmit", err)
		refused("power off", bob.PowerOff("token"))
		refused("check", bob.Check("sim1"))
		if want := "sim1 is in use by alice since 2000-01-01T00:00:00Z"; err.Error() != want {
			t.Errorf("error %q, want %q", err, want)
		}
		if time.Since(since) != time.Minute {
			t.Error("a refusal took time")
		}

		got, already, err := alice.PowerOn(ctx, "token")
		if err != nil || !already || !bytes.Equal(got, atr) {
			t.Errorf("second power on = %X, already %v, %v; want the ATR %X, true", got, already, err, atr)
		}
		got[0] ^= 0xFF
		if again, _, _ := alice.PowerOn(ctx, "sim1"); !bytes.Equal(again, atr) {
			t.Error("the caller's change of the ATR is seen by others")
		}
		if answer, err := alice.Transmit(ctx, "token", read4); err != nil || !bytes.Equal(answer, []byte{0, 1, 2, 3, 0x90, 0}) {
			t.Errorf("transmit = %X, %v", answer, err)
		}
		if _, err := alice.Reset(ctx, "sim1", drivers.Warm); err != nil {
			t.Error(err)
		}
		if err := alice.PowerOff("token"); err != nil {
			t.Error(err)
		}
		powerOn(t, bob, "sim1")
		want := driverstest.Counts{PowerOns: 2, PowerOffs: 1, WarmResets: 1, Commands: 1}
		if got := card.Counts(); got != want {
			t.Errorf("the card saw %+v, want %+v", got, want)
		}
	})
}

func TestOffAndUnknown(t *testing.T) {
	ctx := t.Context()
	g, card := one(t, driverstest.Options{})
	s := g.NewSession("alice")
	for _, tt := range []struct {
		seid string
		want error
	}{{"sim1", drivers.ErrPoweredOff}, {"nothing", grid.ErrUnknown}, {strings.Repeat("x", 1<<20), grid.ErrUnknown}} {
		_, reset := s.Reset(ctx, tt.seid, drivers.Cold)
		_, transmit := s.Transmit(ctx, tt.seid, read4)
		for _, err := range []error{reset, transmit, s.Check(tt.seid)} {
			if !errors.Is(err, tt.want) || len(err.Error()) > 300 {
				t.Errorf("%.20s: %.300v, want %v", tt.seid, err, tt.want)
			}
		}
	}
	if err := s.PowerOff("sim1"); err != nil {
		t.Errorf("power off of an SE that is off: %v", err)
	}
	if err := s.PowerOff("nothing"); !errors.Is(err, grid.ErrUnknown) {
		t.Errorf("power off of nothing: %v", err)
	}
	if _, _, err := s.PowerOn(ctx, "nothing"); !errors.Is(err, grid.ErrUnknown) {
		t.Errorf("power on of nothing: %v", err)
	}
	if card.Counts() != (driverstest.Counts{}) {
		t.Errorf("the card was touched: %+v", card.Counts())
	}
}

func TestPowerOnFails(t *testing.T) {
	for _, tt := range []struct {
		fault driverstest.Fault
		want  error
	}{{driverstest.Mute, drivers.ErrMute}, {driverstest.Removed, drivers.ErrNoCard}} {
		g, card := one(t, driverstest.Options{})
		card.SetFault(tt.fault)
		alice, bob := g.NewSession("alice"), g.NewSession("bob")
		if _, _, err := alice.PowerOn(t.Context(), "sim1"); !errors.Is(err, tt.want) || !strings.HasPrefix(err.Error(), "sim1: power on: ") {
			t.Errorf("power on: %v, want %v", err, tt.want)
		}
		if err := alice.Check("sim1"); !errors.Is(err, drivers.ErrPoweredOff) {
			t.Errorf("after a failed power on: %v, want powered off", err)
		}
		card.SetFault(driverstest.Healthy)
		powerOn(t, bob, "sim1") // it stayed nobody's
		if err := alice.Close(); err != nil || !card.On() {
			t.Errorf("the end of alice's session: %v, card on %v; it is bob's", err, card.On())
		}
	}
}

func TestResetFailsAndKeepsTheSE(t *testing.T) {
	g, card := one(t, driverstest.Options{})
	s := g.NewSession("alice")
	powerOn(t, s, "sim1")
	card.SetFault(driverstest.Mute)
	if _, err := s.Reset(t.Context(), "sim1", drivers.Cold); !errors.Is(err, drivers.ErrMute) {
		t.Errorf("reset: %v", err)
	}
	if _, err := s.Transmit(t.Context(), "sim1", read4); !errors.Is(err, drivers.ErrMute) || !errors.Is(err, drivers.ErrOutcomeUnknown) {
		t.Errorf("transmit: %v, want mute, outcome unknown", err)
	}
	if err := s.Check("sim1"); err != nil {
		t.Errorf("the SE is not this session's any more: %v", err)
	}
}

func TestCloseAfterFailures(t *testing.T) {
	g := grid.New()
	s := g.NewSession("alice")
	cards := make(map[string]*driverstest.Scripted)
	for _, seid := range []string{"a", "b", "c"} {
		cards[seid] = driverstest.NewScripted(driverstest.Options{Name: seid})
		if err := g.Add(seid, cards[seid]); err != nil {
			t.Fatal(err)
		}
		powerOn(t, s, seid)
	}
	cards["a"].SetFault(driverstest.PowerOffFails)
	cards["b"].SetFault(driverstest.Mute)
	err := s.Close()
	if err == nil || !strings.Contains(err.Error(), "a: power off scripted(a): ") || strings.Contains(err.Error(), "b:") {
		t.Errorf("Close = %v, want the failure of a alone", err)
	}
	bob := g.NewSession("bob")
	for seid, card := range cards {
		if card.On() {
			t.Errorf("%s is on", seid)
		}
		card.SetFault(driverstest.Healthy)
		powerOn(t, bob, seid)
	}
	if err := s.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	if _, _, err := s.PowerOn(t.Context(), "a"); err == nil {
		t.Error("a closed session powers on")
	}
	if err := errors.Join(bob.Close()); err != nil {
		t.Error(err)
	}
	if _, _, err := s.PowerOn(t.Context(), "a"); !errors.Is(err, grid.ErrClosed) {
		t.Errorf("power on after Close: %v, want ErrClosed", err)
	}
}

// TestCloseBoundsAHangingPowerOff also shows that one SE that hangs does not
// keep the others on.
func TestCloseBoundsAHangingPowerOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, hanging := one(t, driverstest.Options{})
		good := driverstest.NewScripted(driverstest.Options{})
		if err := g.Add("good", good); err != nil {
			t.Fatal(err)
		}
		s := g.NewSession("alice")
		powerOn(t, s, "sim1")
		powerOn(t, s, "good")
		hanging.SetFault(driverstest.Hang)
		begin := time.Now()
		done := make(chan error)
		go func() { done <- s.Close() }()
		synctest.Wait()
		if good.On() {
			t.Error("the SE beside one that hangs is still on")
		}
		if err := <-done; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Close = %v, want a deadline", err)
		}
		if took := time.Since(begin); took != 10*time.Second {
			t.Errorf("Close took %v, want 10 s", took)
		}
		if err := g.NewSession("bob").Check("sim1"); !errors.Is(err, drivers.ErrPoweredOff) {
			t.Errorf("the SE is not free: %v", err)
		}
	})
}

func TestCloseWaitsForACall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, card := one(t, driverstest.Options{})
		s := g.NewSession("alice")
		powerOn(t, s, "sim1")
		var answer []byte
		var err error
		go func() { answer, err = s.Transmit(t.Context(), "sim1", []byte{0x80, 0xDD, 0x0B, 0xB8}) }() // 3 s
		synctest.Wait()
		begin := time.Now()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if took := time.Since(begin); took != 3*time.Second {
			t.Errorf("Close took %v, want the 3 s of the call", took)
		}
		synctest.Wait()
		if err != nil || !bytes.Equal(answer, []byte{0x90, 0}) {
			t.Errorf("the running call: %X, %v; want 9000", answer, err)
		}
		if c := card.Counts(); c.Overlaps != 0 || card.On() {
			t.Errorf("%+v, on %v", c, card.On())
		}
	})
}

func TestWaitersGiveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, card := one(t, driverstest.Options{})
		s := g.NewSession("alice")
		powerOn(t, s, "sim1")
		go func() { _, _ = s.Transmit(t.Context(), "sim1", []byte{0x80, 0xDD, 0x27, 0x10}) }() // 10 s
		synctest.Wait()
		begin := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := s.Transmit(ctx, "sim1", read4)
		if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, drivers.ErrOutcomeUnknown) || time.Since(begin) != time.Second {
			t.Errorf("transmit after %v: %v; want a deadline after 1 s, and a known outcome", time.Since(begin), err)
		}
		if want := "sim1: transmit: waiting for another call: context deadline exceeded"; err.Error() != want {
			t.Errorf("error %q, want %q", err, want)
		}
		if _, err := s.Reset(ctx, "sim1", drivers.Cold); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("reset with a context that is done: %v", err)
		}
		if c := card.Counts(); c.Commands != 1 || c.ColdResets != 0 || c.Overlaps != 0 {
			t.Errorf("the card saw %+v", c)
		}
		time.Sleep(10 * time.Second)
	})
}

// TestPowerOnTwiceAtOnce: both calls of one session succeed, the SE is powered
// on once, and a call that gives up takes nothing away from the other.
func TestPowerOnTwiceAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		card := &slowCard{Scripted: driverstest.NewScripted(driverstest.Options{})}
		g := grid.New()
		if err := g.Add("sim1", card); err != nil {
			t.Fatal(err)
		}
		s := g.NewSession("alice")
		type result struct {
			atr     []byte
			already bool
			err     error
		}
		results := make(chan result, 3)
		on := func(ctx context.Context) {
			atr, already, err := s.PowerOn(ctx, "sim1")
			results <- result{atr, already, err}
		}
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		go on(t.Context())
		synctest.Wait()
		go on(short)
		go on(t.Context())
		if gaveUp := <-results; !errors.Is(gaveUp.err, context.DeadlineExceeded) {
			t.Errorf("the one that gives up: %v", gaveUp.err)
		}
		first, second := <-results, <-results
		if first.err != nil || second.err != nil || first.already == second.already || !bytes.Equal(first.atr, second.atr) {
			t.Errorf("%+v and %+v; want one of them already on, with the same ATR", first, second)
		}
		if c := card.Counts(); c.PowerOns != 1 || c.PowerOffs != 0 || !card.On() {
			t.Errorf("the card saw %+v, on %v; want one power on", c, card.On())
		}
	})
}

// slowCard takes 5 s to be powered on.
type slowCard struct{ *driverstest.Scripted }

func (c *slowCard) PowerOn(ctx context.Context) ([]byte, error) {
	time.Sleep(5 * time.Second)
	return c.Scripted.PowerOn(ctx)
}

func TestPowerOnWithADoneContext(t *testing.T) {
	g, card := one(t, driverstest.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 100 {
		s := g.NewSession("alice")
		if _, _, err := s.PowerOn(ctx, "sim1"); !errors.Is(err, context.Canceled) {
			t.Fatalf("power on: %v", err)
		}
		if err := s.Check("sim1"); !errors.Is(err, drivers.ErrPoweredOff) {
			t.Fatalf("the SE stayed with who gave up: %v", err)
		}
	}
	if card.Counts() != (driverstest.Counts{}) {
		t.Errorf("the card was touched: %+v", card.Counts())
	}
}

// TestCloseDuringPowerOn: the SE is off and free when both have returned.
func TestCloseDuringPowerOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		card := &slowCard{Scripted: driverstest.NewScripted(driverstest.Options{})}
		g := grid.New()
		if err := g.Add("sim1", card); err != nil {
			t.Fatal(err)
		}
		s := g.NewSession("alice")
		go func() { _, _, _ = s.PowerOn(t.Context(), "sim1") }()
		synctest.Wait()
		if err := s.Close(); err != nil || card.On() {
			t.Errorf("Close = %v, card on %v", err, card.On())
		}
		if err := g.NewSession("bob").Check("sim1"); !errors.Is(err, drivers.ErrPoweredOff) {
			t.Errorf("the SE is not free: %v", err)
		}
	})
}
