package pcsc

import (
	"encoding/hex"
	"fmt"
	"testing"
	"time"

	"github.com/cloud-of-se/tses/drivers"
	"github.com/cloud-of-se/tses/drivers/driverstest"
	"github.com/cloud-of-se/tses/drivers/driverstest/vpcd"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// answering is pattern(n) 9000.
func answering(n int) []byte { return append(driverstest.Pattern(n), 0x90, 0) }

// exchanges are commands of every case that the protocol takes.
func exchanges(t testing.TB, card driverstest.Card) []driverstest.Exchange {
	x := []driverstest.Exchange{
		{Name: "case 1", Command: unhex(t, "00D00000"), Want: []byte{0x90, 0}},
		{Name: "case 2", Command: unhex(t, "00B0000005"), Want: answering(5)},
		{Name: "case 2, 256", Command: unhex(t, "00B0000000"), Want: answering(256)},
		{Name: "case 3", Command: append(unhex(t, "00D60000FF"), driverstest.Pattern(255)...), Want: []byte{0x90, 0}},
	}
	if card == driverstest.T0Card {
		return append(x,
			driverstest.Exchange{Name: "case 4", Command: unhex(t, "80E0000002ABCD00"), Want: []byte{0x61, 2}},
			driverstest.Exchange{Name: "its data", Command: unhex(t, "00C0000002"), Want: []byte{0xAB, 0xCD, 0x90, 0}},
			driverstest.Exchange{Name: "case 2 extended", Command: unhex(t, "00B00000000010"), Want: answering(16)},
		)
	}
	return append(x,
		driverstest.Exchange{Name: "case 4", Command: unhex(t, "80E0000002ABCD00"), Want: []byte{0xAB, 0xCD, 0x90, 0}},
		driverstest.Exchange{Name: "case 2 extended", Command: unhex(t, "00B00000001000"), Want: answering(4096)},
		driverstest.Exchange{Name: "case 3 extended", Command: append(unhex(t, "00D60000001000"), driverstest.Pattern(4096)...), Want: []byte{0x90, 0}},
		driverstest.Exchange{Name: "case 4 extended", Command: append(append(unhex(t, "80E0000000FF00"), driverstest.Pattern(0xFF00)...), 0, 0), Want: answering(0xFF00)},
	)
}

func TestConformance(t *testing.T) {
	if !vpcd.Isolated(t) {
		return
	}
	p := vpcd.Start(t, "A")
	h := NewHost(Options{Log: testLog(t)})
	cards := []driverstest.Card{driverstest.TestCard, driverstest.T0Card}
	ses := make([]*Card, len(cards))
	scripted := make([]*driverstest.Scripted, len(cards))
	for i, card := range cards {
		scripted[i] = driverstest.NewScripted(driverstest.Options{Card: card})
		slot := fmt.Sprintf("A%d", i)
		p.Insert(slot, scripted[i])
		var err error
		if ses[i], err = h.Element(Match{Reader: p.Reader(slot)}); err != nil {
			t.Fatal(err)
		}
	}
	startHost(t, h)
	for i, name := range []string{"T=1", "T=0"} {
		eventually(t, "the card of "+name, func() bool { return powersOn(t, ses[i]) })
		if err := ses[i].PowerOff(t.Context()); err != nil {
			t.Fatal(err)
		}
		t.Run(name, func(t *testing.T) {
			open := func(t *testing.T) drivers.SE {
				t.Cleanup(func() {
					if err := ses[i].PowerOff(t.Context()); err != nil && t.Context().Err() == nil {
						t.Error(err)
					}
				})
				return ses[i]
			}
			driverstest.Conformance(t, open, driverstest.Probe{
				Exchanges: exchanges(t, cards[i]),
				Slow:      unhex(t, "80DD03E8"), // one second
				SlowTime:  time.Second,
				Bound:     300 * time.Millisecond,
				Executed:  func() int64 { return scripted[i].Counts().Commands },
			})
		})
	}
}
