package softse_test

import (
	"bytes"
	"context"
	"crypto/des"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/cloud-of-se/tses/apdu"
	"github.com/cloud-of-se/tses/drivers/softse"
	"github.com/cloud-of-se/tses/drivers/softse/applet"
	"github.com/cloud-of-se/tses/drivers/softse/internal/cutdisk"
	"github.com/cloud-of-se/tses/drivers/softse/internal/offcard"
	"github.com/cloud-of-se/tses/drivers/softse/piv"
	"github.com/cloud-of-se/tses/drivers/softse/vault"
)

// The applications of the power-cut tests: the PIV instance of every card, and
// one more that is installed and deleted.
var (
	isdAID   = apdu.MustAID("A000000151000000")
	pivAID   = apdu.MustAID("A000000308000010000100")
	extraAID = apdu.MustAID("A00000030800001000010042")
)

// tries is what the PIN's counter begins with: all that a 63CX can tell.
const tries = 15

// player plays commands to one card, and remembers what a user would.
type player struct {
	card *softse.Card
	pins [2]string // the first is the one that was right last
	seq  []byte    // the sequence counter that the card told last
	left int       // tries that it told last, -1 where it told none
	tell func(format string, args ...any)
}

func newPlayer(store softse.Store) (*player, error) {
	card, err := softse.New(softse.Opts{Name: "soft1", Store: store, Packages: []applet.Package{piv.Package()}})
	if err != nil {
		return nil, err
	}
	p := &player{card: card, pins: [2]string{"123456", "654321"}, left: -1, tell: func(string, ...any) {}}
	_, err = card.PowerOn(context.Background())
	return p, err
}

func (p *player) transmit(command []byte) (data []byte, sw uint16, err error) {
	a, err := p.card.Transmit(context.Background(), command)
	if err != nil {
		return nil, 0, err
	}
	n := len(a) - 2
	return a[:n], uint16(a[n])<<8 | uint16(a[n+1]), nil
}

func (p *player) send(cla, ins, p1, p2 byte, data ...[]byte) ([]byte, uint16, error) {
	joined := bytes.Join(data, nil)
	c := []byte{cla, ins, p1, p2}
	if len(joined) > 0 {
		c = append(append(c, byte(len(joined))), joined...)
	}
	return p.transmit(append(c, 0))
}

// must is a command that has to be answered with 9000.
func (p *player) must(cla, ins, p1, p2 byte, data ...[]byte) ([]byte, error) {
	answer, sw, err := p.send(cla, ins, p1, p2, data...)
	if err == nil && sw != 0x9000 {
		err = fmt.Errorf("%02X %02X %02X %02X: %04X", cla, ins, p1, p2, sw)
	}
	return answer, err
}

// management selects PIV and proves the default management key, mutually
// (SP 800-73-4 part 2, appendix A.1.1).
func (p *player) management() error {
	if _, err := p.must(0, 0xA4, 4, 0, []byte(pivAID)); err != nil {
		return err
	}
	key := bytes.Repeat([]byte{1, 2, 3, 4, 5, 6, 7, 8}, 3)
	block, err := des.NewTripleDESCipher(key)
	if err != nil {
		return err
	}
	witness, err := p.must(0, 0x87, 0x03, 0x9B, []byte{0x7C, 2, 0x80, 0})
	if err != nil || len(witness) != 12 {
		return fmt.Errorf("witness %X: %w", witness, err)
	}
	block.Decrypt(witness[4:], witness[4:])
	_, err = p.must(0, 0x87, 0x03, 0x9B, []byte{0x7C, 0x14, 0x80, 8}, witness[4:], []byte{0x81, 8}, []byte("eightbyt"))
	return err
}

func padPIN(pin string) []byte { return append([]byte(pin), 0xFF, 0xFF)[:8] }

// prepare gives a fresh card the most tries.
func (p *player) prepare() error {
	if err := p.management(); err != nil {
		return err
	}
	if _, err := p.must(0, 0x20, 0, 0x80, padPIN(p.pins[0])); err != nil {
		return err
	}
	_, err := p.must(0, 0xFA, tries, tries)
	return err
}

// operation is one of those that are cut. It returns nil only where the card
// answered that it is done.
type operation struct {
	name      string
	provesPIN bool // the counter may be at its full again
	run       func(p *player) error
}

var operations = []operation{
	{"generate", false, func(p *player) error {
		if err := p.management(); err != nil {
			return err
		}
		_, err := p.must(0, 0x47, 0, 0x9A, []byte{0xAC, 3, 0x80, 1, 0x11})
		return err
	}},
	{"import", false, func(p *player) error {
		if err := p.management(); err != nil {
			return err
		}
		scalar := bytes.Repeat([]byte{byte(1 + rand.IntN(200))}, 32)
		_, err := p.must(0, 0xFE, 0x11, 0x9C, []byte{0x06, 32}, scalar)
		return err
	}},
	{"change", true, func(p *player) error {
		err := p.withPIN(0x24, func(pin, other string) []byte { return append(padPIN(pin), padPIN(other)...) })
		if err == nil {
			p.pins[0], p.pins[1] = p.pins[1], p.pins[0]
		}
		return err
	}},
	{"right", true, func(p *player) error {
		return p.withPIN(0x20, func(pin, _ string) []byte { return padPIN(pin) })
	}},
	{"wrong", false, wrong},
	{"wrong", false, wrong},
	{"install", false, func(p *player) error {
		pkg, module := []byte(pivAID[:8]), []byte(pivAID)
		data := append([]byte{byte(len(pkg))}, pkg...)
		data = append(append(data, byte(len(module))), module...)
		data = append(append(data, byte(len(extraAID))), extraAID...)
		return p.manage([]byte{0x80, 0xE6, 0x0C, 0x00}, append(data, 1, 0, 2, 0xC9, 0, 0), 0x6985, 0x6A80)
	}},
	{"delete", false, func(p *player) error {
		return p.manage([]byte{0x80, 0xE4, 0, 0}, append([]byte{0x4F, byte(len(extraAID))}, extraAID...), 0x6A88)
	}},
}

// withPIN sends a command that proves the PIN: with the one that should be
// right, and where a cut made it the other, with that.
func (p *player) withPIN(ins byte, data func(pin, other string) []byte) error {
	if _, err := p.must(0, 0xA4, 4, 0, []byte(pivAID)); err != nil {
		return err
	}
	for range p.pins {
		_, sw, err := p.send(0, ins, 0, 0x80, data(p.pins[0], p.pins[1]))
		if err != nil || sw == 0x9000 {
			p.left = tries
			return err
		}
		if sw>>4 != 0x63C {
			return fmt.Errorf("%02X: %04X", ins, sw)
		}
		p.pins[0], p.pins[1] = p.pins[1], p.pins[0]
	}
	return errors.New("neither PIN is right")
}

// wrong uses a try up, and gets them back where few are left.
func wrong(p *player) error {
	left, err := p.triesLeft()
	if err != nil {
		return err
	}
	if left < 5 {
		p.tell("op right")
		return p.withPIN(0x20, func(pin, _ string) []byte { return padPIN(pin) })
	}
	_, sw, err := p.send(0, 0x20, 0, 0x80, padPIN("000000"))
	if err == nil && int(sw) != 0x63C0+left-1 {
		err = fmt.Errorf("a wrong PIN with %d tries left: %04X", left, sw)
	}
	p.left = left - 1
	return err
}

// refill gives the tries back, without a cut, where several cuts one after the
// other could use them up.
func (p *player) refill(left int) (now int, err error) {
	if left >= 8 {
		return left, nil
	}
	return tries, p.withPIN(0x20, func(pin, _ string) []byte { return padPIN(pin) })
}

// triesLeft selects PIV and asks.
func (p *player) triesLeft() (int, error) {
	if _, err := p.must(0, 0xA4, 4, 0, []byte(pivAID)); err != nil {
		return 0, err
	}
	_, sw, err := p.send(0, 0x20, 0, 0x80)
	if err == nil && sw>>4 != 0x63C {
		err = fmt.Errorf("tries left: %04X", sw)
	}
	return int(sw & 0xF), err
}

// manage sends one command to the issuer domain through SCP03. The status
// words in done say that it was done already.
func (p *player) manage(header, data []byte, done ...uint16) error {
	if _, err := p.must(0, 0xA4, 4, 0, []byte(isdAID)); err != nil {
		return err
	}
	h := &offcard.Host{}
	answer, sw, err := p.transmit(h.InitializeUpdate(offcard.TestKeys(), []byte("hostchal")))
	if err == nil && sw != 0x9000 {
		err = fmt.Errorf("INITIALIZE UPDATE: %04X", sw)
	}
	if err == nil {
		err = h.Initialized(answer)
	}
	if err != nil {
		return err
	}
	if bytes.Compare(h.Counter, p.seq) <= 0 {
		return fmt.Errorf("sequence counter %X after %X", h.Counter, p.seq)
	}
	p.seq = bytes.Clone(h.Counter)
	p.tell("seq %X", p.seq)
	if _, sw, err = p.transmit(h.ExternalAuthenticate(0x01)); err == nil && sw != 0x9000 {
		err = fmt.Errorf("EXTERNAL AUTHENTICATE: %04X", sw)
	}
	if err == nil {
		_, sw, err = h.Send(p.transmit, header, data)
	}
	if err == nil && sw != 0x9000 && !slices.Contains(done, sw) {
		err = fmt.Errorf("%X: %04X", header, sw)
	}
	return err
}

// installed tells whether the second instance can be selected.
func (p *player) installed() (bool, error) {
	_, sw, err := p.send(0, 0xA4, 4, 0, []byte(extraAID))
	if err == nil && sw != 0x9000 && sw != 0x6A82 {
		err = fmt.Errorf("SELECT of the second instance: %04X", sw)
	}
	return sw == 0x9000, err
}

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
	t.Logf("%d cuts, within operations: %v", g.total, g.cut)
}

// game is the life of one card through many cuts.
type game struct {
	t     *testing.T
	key   vault.Key
	disk  *cutdisk.Disk
	calls map[string]int // to the disk, by operation: the most seen
	cut   map[string]int // by operation that was under way
	total int            // those between two operations included

	state []byte // on the disk
	left  int    // tries
	pins  [2]string
	seq   []byte
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
		g.calls[op.name] = max(g.calls[op.name], g.disk.Calls)
		was.left = p.left
	}
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
	var err3, err4 error
	g.left, err3 = p.refill(left)
	g.state, err4 = f.Load()
	if err := errors.Join(err, err2, err3, err4, p.card.Close(), f.Close()); err != nil {
		g.t.Fatalf("after %s: %v", was.name, err)
	}
	switch {
	case left > was.most:
		g.t.Fatalf("after %s: %d tries, there were %d", was.name, left, was.most)
	case was.answered && was.left > 0 && left != was.left:
		g.t.Fatalf("after %s: %d tries, it had told %d", was.name, left, was.left)
	case was.answered && (was.name == "install" && !installed || was.name == "delete" && installed):
		g.t.Fatalf("after %s: installed: %v", was.name, installed)
	}
}
