package softse_test

import (
	"bytes"
	"context"
	"crypto/des"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/cloud-of-se/tses/apdu"
	"github.com/cloud-of-se/tses/drivers/softse"
	"github.com/cloud-of-se/tses/drivers/softse/applet"
	"github.com/cloud-of-se/tses/drivers/softse/internal/offcard"
	"github.com/cloud-of-se/tses/drivers/softse/openpgp"
	"github.com/cloud-of-se/tses/drivers/softse/piv"
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
	card, err := softse.New(softse.Opts{Name: "soft1", Store: store, Packages: []applet.Package{piv.Package(), openpgp.Package()}})
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
	{"OpenPGP", false, resetOpenPGP},
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

// resetOpenPGP makes a key in the OpenPGP application and removes it by a factory
// reset. Cuts may have left it terminated, which SELECT warns of, or blocked PW3,
// each by a try: then the reset comes first, which asks for a blocked PW1, too.
func resetOpenPGP(p *player) error {
	terminated, err := p.terminated()
	if err != nil {
		return err
	}
	pw3 := append([]byte{0, 0x20, 0, 0x83}, "12345678"...)
	steps := [][]byte{
		pw3, append([]byte{0, 0xDA, 0, 0xC1}, "\x16\x2B\x06\x01\x04\x01\xDA\x47\x0F\x01"...),
		{0, 0x47, 0x80, 0, 0xB6, 0}, {0, 0xE6, 0, 0}, {0, 0x44, 0, 0},
	}
	_, blocked, err := p.send(0, 0x20, 0, 0x83)
	switch {
	case err != nil:
		return err
	case terminated:
		steps = slices.Concat(steps[4:], steps)
	case blocked == 0x6983:
		for range 4 {
			if _, _, err := p.send(0, 0x20, 0, 0x81, []byte("000000")); err != nil {
				return err
			}
		}
		steps = slices.Concat(steps[3:], steps)
	}
	for _, s := range steps {
		if _, err := p.must(s[0], s[1], s[2], s[3], s[4:]); err != nil {
			return err
		}
	}
	return nil
}

// terminated selects the OpenPGP application, and tells whether it warns.
func (p *player) terminated() (bool, error) {
	_, sw, err := p.send(0, 0xA4, 4, 0, []byte("\xD2\x76\x00\x01\x24\x01"))
	if err == nil && sw != 0x9000 && sw != 0x6285 {
		err = fmt.Errorf("SELECT of OpenPGP: %04X", sw)
	}
	return sw == 0x6285, err
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

// triesLeft selects PIV anew, and asks: selected while it is selected, it would
// go on with a PIN that was verified.
func (p *player) triesLeft() (int, error) {
	for _, aid := range []apdu.AID{isdAID, pivAID} {
		if _, err := p.must(0, 0xA4, 4, 0, []byte(aid)); err != nil {
			return 0, err
		}
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
	h, err := p.authenticate()
	if err != nil {
		return err
	}
	_, sw, err := h.Send(p.transmit, header, data)
	if err == nil && sw != 0x9000 && !slices.Contains(done, sw) {
		err = fmt.Errorf("%X: %04X", header, sw)
	}
	return err
}

// authenticate opens SCP03 with the issuer domain. Where a cut made the card
// count an authentication as failed, a good one makes it forget.
func (p *player) authenticate() (*offcard.Host, error) {
	if _, err := p.must(0, 0xA4, 4, 0, []byte(isdAID)); err != nil {
		return nil, err
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
		return nil, err
	}
	if bytes.Compare(h.Counter, p.seq) <= 0 {
		return nil, fmt.Errorf("sequence counter %X after %X", h.Counter, p.seq)
	}
	p.seq = bytes.Clone(h.Counter)
	p.tell("seq %X", p.seq)
	if _, sw, err = p.transmit(h.ExternalAuthenticate(0x01)); err == nil && sw != 0x9000 {
		err = fmt.Errorf("EXTERNAL AUTHENTICATE: %04X", sw)
	}
	return h, err
}

// installed tells whether the second instance can be selected.
func (p *player) installed() (bool, error) {
	_, sw, err := p.send(0, 0xA4, 4, 0, []byte(extraAID))
	if err == nil && sw != 0x9000 && sw != 0x6A82 {
		err = fmt.Errorf("SELECT of the second instance: %04X", sw)
	}
	return sw == 0x9000, err
}
