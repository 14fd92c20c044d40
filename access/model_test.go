package access_test

import (
	"math/rand/v2"
	"testing"

	"github.com/cloud-of-se/tses/apdu"
)

// TestModel: without a guard every kind of card lets its domains be misused, and
// each manner is seen in what a card answers or in what is misused; else the
// searches would prove nothing.
func TestModel(t *testing.T) {
	for _, k := range kinds(1) {
		card, book := newSimCard(k), newSimCard(cardKind{})
		misuses, differs := 0, k == cardKind{}
		r := rand.New(rand.NewPCG(1, 2))
		for range 20_000 {
			c := anyCommand(r)
			got, misused := card.transmit(c)
			want, wanted := book.transmit(c)
			if misused {
				misuses++
			}
			differs = differs || misused != wanted || !same(got, want)
		}
		for w, m := range k { // nor is one manner like another of the same way
			for other := range m {
				differs = differs && unlike(k, w, other)
			}
		}
		if misuses == 0 || !differs {
			t.Errorf("a card that %s: %d misuses, differs from the book: %v", k, misuses, differs)
		}
	}
}

func same(a, b apdu.Response) bool { return a.SW == b.SW && string(a.Data) == string(b.Data) }

// unlike tells whether another manner in one way is seen.
func unlike(k cardKind, w, manner int) bool {
	a := newSimCard(k)
	k[w] = manner
	b, r := newSimCard(k), rand.New(rand.NewPCG(3, 4))
	for range 20_000 {
		c := anyCommand(r)
		got, misused := a.transmit(c)
		want, wanted := b.transmit(c)
		if misused != wanted || !same(got, want) {
			return true
		}
	}
	return false
}

// A card that unwraps selects what secure messaging hides, and not what stands
// on the wire.
func TestModelUnwraps(t *testing.T) {
	var k cardKind
	k[secures] = 2
	for i, app := range simApps {
		for _, tt := range []struct {
			data []byte
			want int
		}{{unwrap(app.aid), i}, {app.aid, 0}} {
			card := newSimCard(k)
			r, misused := card.transmit(apdu.Command{CLA: 0x0C, INS: apdu.INSSelect, P1: 0x04, Data: tt.data, Ne: 256})
			if got := card.selected[0]; int(got) != tt.want || misused {
				t.Errorf("SELECT %X under secure messaging: application %d, %04X, want %d", tt.data, got, uint16(r.SW), tt.want)
			}
		}
	}
}
