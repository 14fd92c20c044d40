package pcsc

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/cloud-of-se/tses/drivers"
	"github.com/cloud-of-se/tses/drivers/driverstest"
	"github.com/cloud-of-se/tses/drivers/driverstest/vpcd"
)

func sim() *driverstest.Scripted {
	return driverstest.NewScripted(driverstest.Options{Name: "sim", ATR: simATR})
}

func token() *driverstest.Scripted {
	return driverstest.NewScripted(driverstest.Options{Name: "token", ATR: tokenATR})
}

// Cards come and go while the TSES runs, each under the SEID that it had.
func TestFoundCards(t *testing.T) {
	if !vpcd.Isolated(t) {
		return
	}
	p := vpcd.Start(t, "AB")
	p.Insert("B1", token())
	found := newShelf()
	startHost(t, NewHost(Options{Found: found, Log: testLog(t)}))
	simA0, tokenB1 := SEID(p.Reader("A0"), simATR), SEID(p.Reader("B1"), tokenATR)
	seidsAre(t, found, tokenB1)

	inserted := p.Insert("A0", sim())
	seidsAre(t, found, tokenB1, simA0)
	se := found.get(simA0)
	if atr, err := se.PowerOn(t.Context()); err != nil || string(atr) != string(simATR) {
		t.Fatalf("%s: PowerOn: %X, %v, want %X", se, atr, err, simATR)
	}
	if got, want := se.String(), "pcsc("+p.Reader("A0")+")"; got != want {
		t.Errorf("it is called %s, want %s", got, want)
	}
	// Its SEID does not depend on its power: without, it has no answer to reset.
	if err := se.PowerOff(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := inserted.Pull(); err != nil {
		t.Fatal(err)
	}
	seidsAre(t, found, tokenB1)

	other := p.Insert("A0", token())
	seidsAre(t, found, tokenB1, SEID(p.Reader("A0"), tokenATR))
	if err := other.Pull(); err != nil {
		t.Fatal(err)
	}
	seidsAre(t, found, tokenB1)
	p.Insert("A0", sim())
	seidsAre(t, found, tokenB1, simA0)
	events := strings.Join(found.events(), " ")
	if strings.Count(events, simA0) != 3 {
		t.Errorf("the cards came and went otherwise: %s", events)
	}
}

// An SE of the configuration is there without its card, and is found by reader
// or by card.
func TestElements(t *testing.T) {
	if !vpcd.Isolated(t) {
		return
	}
	p := vpcd.Start(t, "AB")
	found := newShelf()
	h := NewHost(Options{Found: found, Log: testLog(t)})
	open := func(m Match) *Card {
		se, err := h.Element(m)
		if err != nil {
			t.Fatal(err)
		}
		return se
	}
	byCard := open(Match{ATR: "3B8101*"})
	byReader := open(Match{Reader: "Virtual PCD A ?? 00"})
	nowhere := open(Match{Reader: "ACS*"})
	if _, err := h.Element(Match{}); !errors.Is(err, ErrNoMatch) {
		t.Errorf("an element without a match: %v, want %v", err, ErrNoMatch)
	}
	startHost(t, h)
	for _, se := range []*Card{byCard, byReader, nowhere} {
		if _, err := se.PowerOn(t.Context()); !errors.Is(err, drivers.ErrNoCard) {
			t.Errorf("%s: PowerOn: %v, want %v", se, err, drivers.ErrNoCard)
		}
	}
	p.Insert("A0", sim())
	first := p.Insert("B0", token())
	eventually(t, "both answer", func() bool { return powersOn(t, byReader) && powersOn(t, byCard) })
	if powersOn(t, nowhere) {
		t.Error("an SE whose reader is not there answers")
	}
	if got := found.seids(); len(got) != 0 {
		t.Errorf("%q were found, they are elements", got)
	}

	// The token moves to another reader, and keeps its SEID.
	if err := first.Pull(); err != nil {
		t.Fatal(err)
	}
	p.Insert("B1", token())
	eventually(t, "the token is found in the other reader", func() bool { return powersOn(t, byCard) })
	for _, se := range []*Card{byCard, byReader} {
		if err := se.PowerOff(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// A card that is pulled is ErrRemoved, in the middle of a command or between
// two, and what is in its place is not taken for it.
func TestPulled(t *testing.T) {
	if !vpcd.Isolated(t) {
		return
	}
	p := vpcd.Start(t, "A")
	h := NewHost(Options{Log: testLog(t)})
	se, err := h.Element(Match{Reader: p.Reader("A0")})
	if err != nil {
		t.Fatal(err)
	}
	startHost(t, h)
	on := func(card *driverstest.Scripted) *vpcd.Card {
		inserted := p.Insert("A0", card)
		eventually(t, "the card answers", func() bool { return powersOn(t, se) })
		return inserted
	}
	pull := func(card *vpcd.Card) {
		if err := card.Pull(); err != nil {
			t.Fatal(err)
		}
	}
	read := unhex(t, "00B0000002")

	t.Run("in a command", func(t *testing.T) {
		card := sim()
		inserted := on(card)
		result := make(chan error)
		go func() {
			_, err := se.Transmit(t.Context(), unhex(t, "80DD7530")) // 30 s
			result <- err
		}()
		eventually(t, "the command is under way", func() bool { return card.Counts().Commands == 1 })
		pull(inserted)
		if err := <-result; !errors.Is(err, drivers.ErrRemoved) || !errors.Is(err, drivers.ErrOutcomeUnknown) {
			t.Errorf("Transmit: %v, want %v and %v", err, drivers.ErrRemoved, drivers.ErrOutcomeUnknown)
		}
		if _, err := se.PowerOn(t.Context()); !errors.Is(err, drivers.ErrNoCard) {
			t.Errorf("PowerOn: %v, want %v", err, drivers.ErrNoCard)
		}
	})
	t.Run("between commands", func(t *testing.T) {
		pull(on(sim()))
		if _, err := se.Transmit(t.Context(), read); !errors.Is(err, drivers.ErrRemoved) {
			t.Errorf("Transmit: %v, want %v", err, drivers.ErrRemoved)
		}
		if _, err := se.Reset(t.Context(), drivers.Warm); !errors.Is(err, drivers.ErrRemoved) {
			t.Errorf("Reset: %v, want %v", err, drivers.ErrRemoved)
		}
		if err := se.PowerOff(t.Context()); err != nil {
			t.Errorf("PowerOff: %v", err)
		}
	})
	t.Run("and another inserted", func(t *testing.T) {
		pull(on(sim()))
		other := token()
		inserted := p.Insert("A0", other)
		eventually(t, "the other card has power", func() bool { return other.Counts().PowerOns > 1 })
		for _, kind := range []drivers.ResetKind{drivers.Cold, drivers.Warm} {
			if _, err := se.Reset(t.Context(), kind); !errors.Is(err, drivers.ErrRemoved) {
				t.Errorf("%s Reset: %v, want %v", kind, err, drivers.ErrRemoved)
			}
		}
		_, err := se.Transmit(t.Context(), read)
		if !errors.Is(err, drivers.ErrRemoved) || errors.Is(err, drivers.ErrOutcomeUnknown) {
			t.Errorf("Transmit: %v, want %v, and nothing was sent", err, drivers.ErrRemoved)
		}
		if n := other.Counts().Commands; n != 0 {
			t.Errorf("the other card got %d commands", n)
		}
		if !powersOn(t, se) {
			t.Error("it cannot be powered on")
		}
		pull(inserted)
	})
}

// Readers that pcscd lists in another order, and fewer of them, keep their SEs.
func TestReadersInAnotherOrder(t *testing.T) {
	if !vpcd.Isolated(t) {
		return
	}
	p := vpcd.Start(t, "AB")
	found := newShelf()
	startHost(t, NewHost(Options{Found: found, Log: testLog(t)}))
	simA0, tokenB0 := SEID(p.Reader("A0"), simATR), SEID(p.Reader("B0"), tokenATR)
	for _, next := range []string{"BA", "B", ""} {
		p.Insert("B0", token())
		want := []string{tokenB0}
		if next != "" { // A is there
			p.Insert("A0", sim())
			want = append(want, simA0)
		}
		seidsAre(t, found, want...)
		if atr, err := found.get(tokenB0).PowerOn(t.Context()); err != nil || string(atr) != string(tokenATR) {
			t.Errorf("the token answers %X, %v", atr, err)
		}
		p.Kill()
		seidsAre(t, found)
		if next != "" {
			p.Restart(next)
		}
	}
}

// libpcsclite waits for no more than sixteen readers, and the list of readers
// counts as one.
func TestSixteenReaders(t *testing.T) {
	if !vpcd.Isolated(t) {
		return
	}
	p := vpcd.Start(t, "ABCDEFGH")
	found := newShelf()
	startHost(t, NewHost(Options{Found: found, Log: testLog(t)}))
	var want []string
	for driver := 'A'; driver <= 'H'; driver++ {
		for _, slot := range []string{"0", "1"} {
			reader := string(driver) + slot
			p.Insert(reader, sim())
			want = append(want, SEID(p.Reader(reader), simATR))
		}
	}
	seidsAre(t, found, want...)
	time.Sleep(200 * time.Millisecond) // for what would go wrong when there is nothing to do
	if events := strings.Join(found.events(), " "); strings.Contains(events, "-v") {
		t.Errorf("cards went: %s", events)
	}
}
