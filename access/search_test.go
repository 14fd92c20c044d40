package access_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/cloud-of-se/tses/access"
	"github.com/cloud-of-se/tses/apdu"
	"github.com/cloud-of-se/tses/internal/needs"
)

// scene is a card and the guard that watches it.
type scene struct {
	card  simCard
	guard access.Guard
}

func newScene(kind cardKind) scene {
	return scene{newSimCard(kind), *access.NewGuard(access.User)}
}

// fate is what becomes of a command.
type fate int

const (
	answered fate = iota
	unheard       // the answer is lost
	fainted       // and the card has been reset
	fates
)

// step sends a command as a user, unless the guard refuses it.
func (s *scene) step(c apdu.Command, f fate) (sent, misused bool) {
	if s.guard.Check(c) != nil {
		return false, false
	}
	r, misused := s.card.transmit(c)
	switch f {
	case answered:
		s.guard.Note(c, r)
	case fainted:
		s.card.reset()
		fallthrough
	case unheard:
		s.guard.NoteLost(c)
	}
	return true, misused
}

// usesApp tells whether a command that got through is an application's own
// STORE DATA.
func usesApp(c apdu.Command) bool { return c.CLA&0x80 != 0 && c.INS == apdu.INSStoreData }

// alphabet is what the search sends: SELECTs of what is a domain and what is
// not, each in the ways that differ, MANAGE CHANNEL in every class, chains, and a
// command that a domain must not get.
func alphabet() (all []apdu.Command) {
	on := func(cla byte, n int, ins, p1, p2 byte, data string, ne int) {
		all = append(all, apdu.Command{CLA: apdu.OnChannel(cla, n), INS: ins, P1: p1, P2: p2, Data: unhex(data), Ne: ne})
	}
	for _, n := range []int{0, 1, 5} {
		for _, aid := range []string{"F000000001", "F00000000102", "F000000002"} {
			on(0x00, n, 0xA4, 4, 0, aid, 256)
			on(0x00, n, 0xA4, 4, 0x0C, aid, 0)
		}
		on(0x00, n, 0xA4, 4, 0, "F000000001", 8)
		on(0x00, n, 0xA4, 4, 2, "F0000000", 256)
		on(0x00, n, 0xA4, 4, 0, "F0FF", 256)
		on(0x00, n, 0xA4, 4, 0, "01", 256) // the end of a chain
		on(0x00, n, 0xA4, 5, 0, "F000000001", 0)
		on(0x80, n, 0xA4, 4, 0, "F000000001", 256)
		on(0x0C, n, 0xA4, 4, 0, "0FFFFFFFFE", 256)   // F000000001, wrapped
		on(0x0C, n, 0xA4, 4, 0, "0FFFFFFFFEFD", 256) // F00000000102
		on(0x00, n, 0xA4, 0, 0, "3F00", 256)
		on(0x0C, n, 0xA4, 0, 0, "C0FF", 0) // the MF, wrapped
		on(0x00, n, 0xC0, 0, 0, "", 256)
		on(0x10, n, 0xCA, 0, 0, "F0000000", 0)
		on(0x00, n, 0xCA, 0, 0, "", 256)
		for _, cla := range []byte{0x80, 0x00, 0x90} {
			on(cla, n, 0xE2, 0, 0, "0102", 0)
		}
		for _, cla := range []byte{0x00, 0x80, 0x10, 0x0C} {
			for _, p2 := range []byte{0, 1, 5} {
				on(cla, n, 0x70, 0x00, p2, "", 1)
				on(cla, n, 0x70, 0x80, p2, "", 0)
			}
		}
	}
	return all
}

// arrival is how a scene was reached.
type arrival struct {
	from  int
	sends apdu.Command
	fate  fate
}

// search tries every sequence of the alphabet, the short ones first, until so
// many commands were sent or no new scene comes up. It returns the shortest
// sequence by which a domain is misused.
func search(kind cardKind, most int) (trail string, sent, used int) {
	letters := alphabet()
	scenes := []scene{newScene(kind)}
	arrivals := []arrival{{}}
	known := map[scene]bool{scenes[0]: true}
	for at := 0; at < len(scenes) && sent < most; at++ {
		for i, c := range letters {
			f := fate(0)
			if i%4 == at%4 { // each command in each scene's neighbourhood
				f = fate(at/4) % fates
			}
			next := scenes[at]
			went, misused := next.step(c, f)
			if !went {
				continue
			}
			sent++
			if misused {
				return tell(arrivals, arrival{at, c, f}), sent, used
			}
			if usesApp(c) {
				used++
			}
			if !known[next] {
				known[next] = true
				scenes, arrivals = append(scenes, next), append(arrivals, arrival{at, c, f})
			}
		}
	}
	return "", sent, used
}

func tell(arrivals []arrival, last arrival) string {
	var steps []string
	for a := last; ; a = arrivals[a.from] {
		if a.sends.CLA|a.sends.INS == 0 {
			break
		}
		steps = append(steps, fmt.Sprintf("%s/%d", a.sends, a.fate))
	}
	var b strings.Builder
	for i := len(steps) - 1; i >= 0; i-- {
		fmt.Fprintf(&b, "\n\t%s", steps[i])
	}
	return b.String()
}

// TestEveryKindOfCard: no card that leaves the book in one way (all of them in
// two, where everything is asked for to its end) gives a user a way to a domain,
// by any sequence of commands of the alphabet.
func TestEveryKindOfCard(t *testing.T) {
	tried, most := kinds(1), 12_000
	for _, k := range kinds(2)[1:] { // a share of the pairs, another in every run
		if k.oddities() == 2 && (needs.Full() || rand.IntN(40) == 0) {
			tried = append(tried, k)
		}
	}
	if needs.Full() {
		most = 40_000
	}
	bypassed, sent, used := 0, 0, 0
	for _, k := range tried {
		trail, n, u := search(k, most)
		sent, used = sent+n, used+u
		if trail == "" {
			continue
		}
		if bypassed++; bypassed <= 5 {
			t.Errorf("a card that %s: a domain is misused by%s", k, trail)
		}
	}
	t.Logf("%d kinds of cards, %d with a way to a domain; %d APDUs, of which applications got %d times STORE DATA", len(tried), bypassed, sent, used)
	if bypassed > 0 {
		t.Errorf("%d of %d kinds of cards have a way to a domain", bypassed, len(tried))
	}
	if used == 0 {
		t.Error("no application ever got STORE DATA: the guard refuses everything")
	}
}

// anyCommand is of a wider alphabet than the search's.
func anyCommand(r *rand.Rand) apdu.Command {
	pick := func(from ...byte) byte { return from[r.IntN(len(from))] }
	n := int(pick(0, 0, 0, 1, 1, 2, 4, 5, 7))
	c := apdu.Command{Ne: []int{0, 256, 256, 1, 8, 18}[r.IntN(6)]}
	switch r.IntN(12) {
	case 0, 1, 2: // what is to be trusted, so that there is something to lose
		c.CLA, c.INS, c.P1, c.Data, c.Ne = 0, apdu.INSSelect, 4, unhex("F000000002"), 256
	case 3, 4:
		aids := []string{"F000000001", "F00000000101", "F00000000102", "F000000002", "F0000000", "F0", "A000000151000000", "A0", "", "F0FF", "01", "0101", "0FFFFFFFFE", "0FFFFFFFFD", "3F00", "C0FF"}
		c.CLA, c.INS, c.P1, c.P2 = pick(0, 0, 0, 0, 0x80, 0x0C, 0x10, 0x20, 0x84), apdu.INSSelect, pick(4, 4, 4, 4, 4, 5, 0x84, 0, 8), pick(0, 0, 0, 2, 4, 0x0C)
		c.Data = unhex(aids[r.IntN(len(aids))])
	case 5:
		c.CLA, c.INS = pick(0, 0, 0x80, 0x0C, 0x10), apdu.INSGetResponse
	case 6:
		c.CLA, c.INS, c.P1, c.P2 = pick(0, 0, 0, 0x80, 0x10, 0x90, 0x0C, 0x08, 0x04, 0x20, 0x84), apdu.INSManageChannel, pick(0, 0, 0x80, 0x40), pick(0, 1, 2, 4, 5, 7)
	default:
		c.CLA, c.INS = pick(0x80, 0x80, 0x84, 0, 0x0C, 0x10, 0x90, 0xA0), pick(0xE2, 0xE2, 0xE2, 0xE4, 0xE6, 0xE8, 0xD8, 0xF0, 0x50, 0x82, 0xEA, 0xCA, 0xCA, 0xC2, 0x84)
		c.Data = unhex([]string{"0102", "F0000000", "F000000001"}[r.IntN(3)])
	}
	c.CLA = apdu.OnChannel(c.CLA, n)
	return c
}

// TestUsersNeverManage: whatever a user sends to whatever card, in whatever
// order, no domain gets a command to manage it or to open a secure channel with.
func TestUsersNeverManage(t *testing.T) {
	most := 300_000
	if needs.Full() {
		most = 10_000_000
	}
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	sent, used := 0, 0
	for sent < most {
		n, u, trail := life(r)
		sent, used = sent+n, used+u
		if trail != "" {
			t.Fatalf("seed %#x: a domain is misused by a user of a card that %s", seed, trail)
		}
	}
	t.Logf("%d APDUs, of which applications got %d times STORE DATA", sent, used)
	if used == 0 {
		t.Error("no application ever got STORE DATA: the guard refuses everything")
	}
}

// life is a card's, with one user, from its kind to its end.
func life(r *rand.Rand) (sent, used int, trail string) {
	kind := anyKind(r)
	s := newScene(kind)
	arrivals := []arrival{{}}
	for range 20 + r.IntN(60) {
		f := answered
		switch r.IntN(60) {
		case 0:
			s.card.reset()
			s.guard.Reset()
		case 1, 2:
			f = unheard
		case 3:
			f = fainted
		}
		c := anyCommand(r)
		went, misused := s.step(c, f)
		if !went {
			continue
		}
		sent++
		a := arrival{len(arrivals) - 1, c, f}
		if misused {
			return sent, used, kind.String() + ":" + tell(arrivals, a)
		}
		arrivals = append(arrivals, a)
		if usesApp(c) {
			used++
		}
	}
	return sent, used, ""
}
