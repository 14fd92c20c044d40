package slots

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/cloud-of-se/tses/update"
)

// What a root file system of the model does when it is started.
const (
	old    = 'o' // runs
	fresh  = 'n' // runs and is well
	broken = 'b' // panics, or hangs and is ended by the watchdog
	sick   = 's' // runs, is not well, and goes back
)

// box is a machine with a card.
type box struct {
	t     *testing.T
	power *power
	boot  *Partition
	slots [2]*Partition
	file  string // that its boot loader reads
	lives int    // so far
	world
}

// world is what does not change between the machines of a test.
type world struct {
	header *update.Header
	head   []byte
	body   []byte
	verify func(*Partition) (*update.Header, error)
}

func (b *box) slot(s Slot) *Partition { return b.slots[s-A] }

// loader reads the card as it is, and tells which slot it starts.
func (b *box) loader() Slot {
	b.t.Helper()
	all, err := digits(b.boot)
	if err != nil {
		b.t.Fatalf("the boot partition is broken: %v", err)
	}
	for _, d := range all {
		if d.file == b.file {
			return d.slot()
		}
	}
	b.t.Fatalf("%s is gone", b.file)
	return 0
}

// content is what a slot is worth, 0 where it is not whole.
func (b *box) content(s Slot) byte {
	got := b.slot(s).Medium.(*medium).safe[:24*sector]
	for _, worth := range []byte{old, fresh, broken, sick} {
		if bytes.Equal(got, root(worth)) {
			return worth
		}
	}
	return 0
}

// start is one life of the box from power on until it restarts, settles, or the
// power goes. wants says that an administrator sends the update. It returns
// what runs in the end, 0 where the power went.
func (b *box) start(wants bool, cutAfter int) byte {
	b.t.Helper()
	if b.lives++; b.lives > 20 {
		b.t.Fatal("the box restarts for ever")
	}
	b.power.on(cutAfter)
	selected := b.loader()
	worth := b.content(selected)
	if worth != old && worth != fresh {
		b.t.Fatalf("the boot loader starts slot %v, which is worth %q", selected, worth)
	}
	other := b.slot(selected.Other())
	switch _, err := b.verify(other); {
	case errors.Is(err, errCut):
		return 0
	case err == nil:
		return b.try(selected.Other())
	}
	if err := Select(b.boot, selected); err != nil { // settle
		return 0
	}
	if wants {
		if err := Install(b.t.Context(), other, b.header, b.head, bytes.NewReader(b.body), quiet); err != nil {
			return 0
		}
		return b.start(false, b.power.left)
	}
	return worth
}

// try is a start on trial.
func (b *box) try(s Slot) byte {
	switch worth := b.content(s); worth {
	case fresh:
		if err := Select(b.boot, s); err != nil {
			return 0
		}
		return worth
	case sick, broken:
		return b.start(false, b.power.left)
	default:
		b.t.Fatalf("slot %v, which is worth %q, is tried", s, worth)
		return 0
	}
}

func newModel(t *testing.T, w world, file string, keep func() bool) *box {
	p := &power{left: -1, keep: keep}
	return &box{
		t: t, power: p, file: file, world: w,
		boot:  p.partition(usualBoot(t)),
		slots: [2]*Partition{p.partition(slotWith(root(old))), p.partition(slotWith(root('x')))},
	}
}

// TestPowerCuts cuts the power at every write and every sync of an update, and
// once more at every one of what follows, with the cache lost, kept, or in
// parts. The box has to start each time, and ends with a root that is good.
func TestPowerCuts(t *testing.T) {
	owner := newOwner(t)
	chance := rand.New(rand.NewPCG(1, 2))
	keeps := map[string]func() bool{
		"lost": func() bool { return false }, "kept": func() bool { return true }, "torn": func() bool { return chance.IntN(2) == 0 },
	}
	for _, worth := range []byte{fresh, broken, sick} {
		h, head, body := bundle(t, owner, root(worth), nil)
		w := world{h, head, body, func(p *Partition) (*update.Header, error) {
			return Consume(t.Context(), p, &owner.PublicKey, runs)
		}}
		for name, keep := range keeps {
			for _, file := range bootFiles {
				t.Run(fmt.Sprintf("%c/%s/%s", worth, name, file[:3]), func(t *testing.T) { cutEverywhere(t, w, worth, file, keep) })
			}
		}
	}
}

func cutEverywhere(t *testing.T, w world, worth byte, file string, keep func() bool) {
	want := byte(fresh)
	if worth != fresh {
		want = old
	}
	whole := newModel(t, w, file, keep)
	if got := whole.start(true, -1); got != want {
		t.Fatalf("without a cut %q runs, want %q", got, want)
	}
	cuts := 0
	for first := 0; ; first++ {
		b := newModel(t, w, file, keep)
		if got := b.start(true, first); got != 0 {
			if got != want {
				t.Errorf("%q runs, want %q", got, want)
			}
			break
		}
		cuts++
		for second := range 12 {
			// The machine that is cut again is the one of the first cut.
			c := b.clone()
			c.start(false, second)
			if got := c.start(false, -1); got != old && got != want {
				t.Fatalf("cut after %d and %d steps: %q runs, want %q or %q", first, second, got, old, want)
			}
			// Whatever has happened, the box can be updated again.
			if got := c.start(true, -1); got != want && got != old {
				t.Fatalf("cut after %d and %d steps: after another update %q runs", first, second, got)
			} else if worth == fresh && got != fresh {
				t.Fatalf("cut after %d and %d steps: the update cannot be repeated", first, second)
			}
		}
	}
	if cuts < 8 {
		t.Errorf("only %d cuts", cuts)
	}
}

func (b *box) clone() *box {
	c := newModel(b.t, b.world, b.file, b.power.keep)
	for i, m := range b.power.all {
		copy(c.power.all[i].safe, m.safe)
	}
	return c
}
