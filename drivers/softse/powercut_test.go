package softse_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cloud-of-se/tses/drivers/softse"
	"github.com/cloud-of-se/tses/drivers/softse/internal/cutdisk"
	"github.com/cloud-of-se/tses/drivers/softse/vault"
)

// observer is a Store that remembers what went through it.
type observer struct {
	softse.Store
	gone         func() bool // the power is
	acked, tried []byte      // the last state that was acknowledged, and one that was under way since
}

func (w *observer) Save(state []byte) error {
	if !w.gone() {
		w.tried = bytes.Clone(state)
	}
	err := w.Store.Save(state)
	if err == nil {
		w.acked, w.tried = bytes.Clone(state), nil
	}
	return err
}

// TestPowerCut plays random operations to a card on a simulated disk, cuts its
// power at a random call to the disk, and looks at several of the disks that
// this may leave. It goes on from one of them.
func TestPowerCut(t *testing.T) {
	cuts, bound := 8000, 20*time.Second
	if testing.Short() {
		cuts = 800
	}
	key, err := vault.NewKey(bytes.Repeat([]byte{9}, vault.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	g := &game{t: t, key: key, disk: cutdisk.New(), calls: map[string]int{}, cut: map[string]int{}}
	g.begin()
	for start := time.Now(); g.total < cuts && time.Since(start) < bound; {
		g.round(operations[rand.IntN(len(operations))])
	}
	if g.total < cuts/4 {
		t.Errorf("%d cuts in %v: too few to tell", g.total, bound)
	}
	for _, op := range operations {
		if g.cut[op.name] == 0 || g.calls[op.name] < 7 { // one Save makes 7
			t.Errorf("%s was cut %d times in at most %d calls to the disk", op.name, g.cut[op.name], g.calls[op.name])
		}
	}
	t.Logf("%d cuts, within operations: %v, calls: %v", g.total, g.cut, g.calls)
}

// game is the life of one card through many cuts.
type game struct {
	t     *testing.T
	key   vault.Key
	disk  *cutdisk.Disk
	calls map[string]int // to the disk, by operation: the most that went through
	cut   map[string]int // by operation that was under way
	total int            // those between two operations included

	state []byte // on the disk
	left  int    // tries
	pins  [2]string
	seq   []byte
	doubt bool // an authentication may have been cut, and count as failed
}

func (g *game) open(d *cutdisk.Disk) (*vault.File, *player, *observer) {
	g.t.Helper()
	f, err := vault.OpenOn(d, g.key, "soft1")
	if err != nil {
		g.t.Fatal(err)
	}
	w := &observer{Store: f, gone: d.IsCut, acked: g.state}
	p, err := newPlayer(w)
	if err != nil {
		g.t.Fatal(err)
	}
	if g.state != nil {
		p.pins, p.seq = g.pins, g.seq
	}
	return f, p, w
}

func (g *game) begin() {
	g.t.Helper()
	f, p, w := g.open(g.disk)
	if err := errors.Join(p.prepare(), p.card.Close(), f.Close()); err != nil {
		g.t.Fatal(err)
	}
	g.state, g.pins, g.left = w.acked, p.pins, tries
}

func (g *game) round(op operation) {
	g.t.Helper()
	f, p, w := g.open(g.disk)
	proves := op.provesPIN
	p.tell = func(format string, _ ...any) { proves = proves || format == "op right" }
	if g.doubt { // else the card would come to answer late
		if _, err := p.authenticate(); err != nil {
			g.t.Fatal(err)
		}
	}
	g.disk.Calls, g.disk.CutAt = 0, rand.IntN(g.calls[op.name]+2)
	err := op.run(p)
	was := outcome{operation: op, answered: !g.disk.IsCut(), observer: w, most: g.left}
	if proves {
		was.most = tries
	}
	if was.answered {
		if err != nil {
			g.t.Fatalf("%s: %v", op.name, err)
		}
		was.left = p.left
	}
	// The end of the operation is found by cuts that come later and later.
	g.calls[op.name] = max(g.calls[op.name], min(g.disk.Calls, g.disk.CutAt+1))
	g.doubt = !was.answered && (op.name == "install" || op.name == "delete")
	g.pins, g.seq = p.pins, p.seq
	if err := errors.Join(p.card.Close(), f.Close()); err != nil {
		g.t.Fatal(err)
	}
	was.disk = g.disk
	for range min(6, was.disk.Futures()) {
		g.disk = was.disk.Crash(rand.IntN(was.disk.Futures()))
		g.look(was)
		g.total++
		if !was.answered {
			g.cut[op.name]++
		}
	}
}

// outcome is an operation as it went.
type outcome struct {
	operation
	answered bool // it was done before the power went
	left     int  // tries that its answer told, or -1
	most     int  // tries that there may be
	disk     *cutdisk.Disk
	*observer
}

// look opens what is left after a cut: a state, and a card that works.
func (g *game) look(was outcome) {
	g.t.Helper()
	f, err := vault.OpenOn(g.disk, g.key, "soft1")
	if err != nil {
		g.t.Fatalf("after %s, cut at %d %v: %v", was.name, was.disk.CutAt, was.disk.Trace, err)
	}
	if g.state, err = f.Load(); err != nil {
		g.t.Fatal(err)
	}
	if !bytes.Equal(g.state, was.acked) && !(bytes.Equal(g.state, was.tried) && was.tried != nil) {
		g.t.Fatalf("after %s: the state is neither the one before nor the one after", was.name)
	}
	p, err := newPlayer(f)
	if err != nil {
		g.t.Fatal(err)
	}
	left, err := p.triesLeft()
	installed, err2 := p.installed()
	terminated, err5 := p.terminated()
	var err3, err4 error
	g.left, err3 = p.refill(left)
	g.state, err4 = f.Load()
	if err := errors.Join(err, err2, err3, err4, err5, p.card.Close(), f.Close()); err != nil {
		g.t.Fatalf("after %s: %v", was.name, err)
	}
	switch {
	case left > was.most:
		g.t.Fatalf("after %s: %d tries, there were %d", was.name, left, was.most)
	case was.answered && was.left > 0 && left != was.left:
		g.t.Fatalf("after %s: %d tries, it had told %d", was.name, left, was.left)
	case was.answered && (was.name == "install" && !installed || was.name == "delete" && installed):
		g.t.Fatalf("after %s: installed: %v", was.name, installed)
	case was.answered && was.name == "OpenPGP" && terminated:
		g.t.Fatal("after an OpenPGP reset that was answered it is terminated")
	}
}
