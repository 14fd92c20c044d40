package pcsc

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/cloud-of-se/tses/drivers"
	"github.com/cloud-of-se/tses/drivers/driverstest"
	"github.com/cloud-of-se/tses/drivers/driverstest/vpcd"
	"github.com/cloud-of-se/tses/pcsclite"
)

// one is an SE in the reader A0 of a pcscd, and the card in it.
func one(t *testing.T, card *driverstest.Scripted) (*vpcd.PCSCD, *Card) {
	t.Helper()
	p := vpcd.Start(t, "A")
	p.Insert("A0", card)
	h := NewHost(Options{Log: testLog(t)})
	se, err := h.Element(Match{Reader: p.Reader("A0")})
	if err != nil {
		t.Fatal(err)
	}
	startHost(t, h)
	eventually(t, "the card answers", func() bool { return powersOn(t, se) })
	return p, se
}

// pcscd is killed and started again: the SEs come back.
func TestServiceKilled(t *testing.T) {
	if !vpcd.Isolated(t) {
		return
	}
	p, se := one(t, sim())
	p.Kill()
	_, err := se.Transmit(t.Context(), unhex(t, "00B0000002"))
	if !errors.Is(err, drivers.ErrRemoved) {
		t.Errorf("Transmit: %v, want %v", err, drivers.ErrRemoved)
	}
	eventually(t, "PowerOn says that pcscd is away", func() bool {
		_, err := se.PowerOn(t.Context())
		return errors.Is(err, drivers.ErrNoCard) && strings.Contains(err.Error(), "pcscd does not answer")
	})
	if err := se.PowerOff(t.Context()); err != nil {
		t.Errorf("PowerOff: %v", err)
	}
	p.Restart("A")
	p.Insert("A0", sim())
	eventually(t, "the card answers again", func() bool { return powersOn(t, se) })
	if got, err := se.Transmit(t.Context(), unhex(t, "00B0000002")); err != nil || len(got) != 4 {
		t.Errorf("Transmit: %X, %v", got, err)
	}
	// Killed in a command.
	result := make(chan error)
	go func() {
		_, err := se.Transmit(t.Context(), unhex(t, "80DD2710"))
		result <- err
	}()
	time.Sleep(100 * time.Millisecond) // the command is with pcscd, or is not: either is good
	p.Kill()
	if err := <-result; !errors.Is(err, drivers.ErrRemoved) {
		t.Errorf("Transmit: %v, want %v", err, drivers.ErrRemoved)
	}
}

// pcscd starts after the TSES.
func TestServiceComesLater(t *testing.T) {
	if !vpcd.Isolated(t) {
		return
	}
	found := newShelf()
	began := time.Now()
	startHost(t, NewHost(Options{Found: found, Log: testLog(t)}))
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("Start waits %v for a pcscd that is not there", took)
	}
	p := vpcd.Start(t, "A")
	p.Insert("A0", sim())
	seidsAre(t, found, SEID(p.Reader("A0"), simATR))
}

// pcscd does not answer: every call ends with its context, and what hangs is
// the reader's, not the caller's.
func TestServiceStalls(t *testing.T) {
	if !vpcd.Isolated(t) {
		return
	}
	p, se := one(t, sim())
	goOn := p.Stall()
	within := func(what string, call func(ctx context.Context) error) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		began := time.Now()
		if err := call(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v, want %v", what, err, context.DeadlineExceeded)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("%s took %v", what, took)
		}
	}
	within("Transmit", func(ctx context.Context) error {
		_, err := se.Transmit(ctx, unhex(t, "00B0000002"))
		if !errors.Is(err, drivers.ErrOutcomeUnknown) {
			t.Errorf("Transmit: %v, want %v", err, drivers.ErrOutcomeUnknown)
		}
		return err
	})
	within("second Transmit", func(ctx context.Context) error {
		_, err := se.Transmit(ctx, unhex(t, "00B0000002"))
		if errors.Is(err, drivers.ErrOutcomeUnknown) {
			t.Errorf("second Transmit: %v: it was not sent", err)
		}
		return err
	})
	within("Reset", func(ctx context.Context) error {
		_, err := se.Reset(ctx, drivers.Warm)
		return err
	})
	within("PowerOff", se.PowerOff)
	for range 3 {
		within("PowerOn", func(ctx context.Context) error {
			_, err := se.PowerOn(ctx)
			return err
		})
	}
	goOn()
	if _, err := se.PowerOn(t.Context()); err != nil {
		t.Errorf("PowerOn when pcscd goes on: %v", err)
	}
	if err := se.PowerOff(t.Context()); err != nil {
		t.Errorf("PowerOff: %v", err)
	}
}

// While it is on, the SE is kept from other programs; what another program has
// is refused, and comes with a cold reset afterwards.
func TestExclusive(t *testing.T) {
	if !vpcd.Isolated(t) {
		return
	}
	card := sim()
	p, se := one(t, card)
	other, err := pcsclite.Dial(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := other.Connect(t.Context(), p.Reader("A0"), pcsclite.Shared, pcsclite.ProtocolAny); !errors.Is(err, pcsclite.ESharingViolation) {
		t.Errorf("another program connects to an SE that is on: %v, want %v", err, pcsclite.ESharingViolation)
	}
	if err := se.PowerOff(t.Context()); err != nil {
		t.Fatal(err)
	}
	theirs, err := other.Connect(t.Context(), p.Reader("A0"), pcsclite.Shared, pcsclite.ProtocolAny)
	if err != nil {
		t.Fatalf("another program connects to an SE that is off: %v", err)
	}
	_, err = se.PowerOn(t.Context())
	if !errors.Is(err, errInUse) || errors.Is(err, drivers.ErrNoCard) {
		t.Errorf("PowerOn: %v, want %v", err, errInUse)
	}
	if err := theirs.Disconnect(t.Context(), pcsclite.Leave); err != nil {
		t.Fatal(err)
	}
	before := card.Counts()
	if !powersOn(t, se) {
		t.Fatal("the SE cannot be powered on")
	}
	if after := card.Counts(); after.PowerOffs == before.PowerOffs {
		t.Error("the power that another program left was not taken away")
	}
}

// The resets of PC/SC reach the card as what they are called.
func TestResets(t *testing.T) {
	if !vpcd.Isolated(t) {
		return
	}
	card := sim()
	_, se := one(t, card)
	for _, kind := range []drivers.ResetKind{drivers.Warm, drivers.Cold} {
		before := card.Counts()
		if atr, err := se.Reset(t.Context(), kind); err != nil || string(atr) != string(simATR) {
			t.Fatalf("%s: %X, %v", kind, atr, err)
		}
		after := card.Counts()
		warm, cold := after.WarmResets-before.WarmResets, after.PowerOns-before.PowerOns
		if kind == drivers.Warm && (warm != 1 || cold != 0) || kind == drivers.Cold && (warm != 0 || cold != 1) {
			t.Errorf("%s: the card saw %d warm and %d cold resets", kind, warm, cold)
		}
	}
	if err := se.PowerOff(t.Context()); err != nil {
		t.Errorf("PowerOff: %v", err)
	}
	eventually(t, "the card has no power", func() bool { return !card.On() }) // vpcd waits for no answer
}

// Extended commands reach a card on T=0 in TPDUs.
func TestExtendedOnT0(t *testing.T) {
	if !vpcd.Isolated(t) {
		return
	}
	_, se := one(t, driverstest.NewScripted(driverstest.Options{Card: driverstest.T0Card}))
	for command, want := range map[string]string{
		"80101000" + "000000":                             string(answering(0x1000)), // 61XX, again and again
		"80100005" + "000010":                             string(answering(5)),      // 6CXX
		"80E00000" + "000002ABCD" + "0000":                "\xAB\xCD\x90\x00",        // data both ways
		"00D60000" + "000100" + strings.Repeat("00", 256): "\x6D\x00",                // the card has no ENVELOPE
	} {
		if got, err := se.Transmit(t.Context(), unhex(t, command)); err != nil || string(got) != want {
			t.Errorf("%.20s: %.20X (%d bytes), %v, want %.20X (%d bytes)", command, got, len(got), err, want, len(want))
		}
	}
}
