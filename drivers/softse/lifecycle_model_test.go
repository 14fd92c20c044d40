package softse

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"pgregory.net/rapid"

	"github.com/cloud-of-se/tses/apdu"
	"github.com/cloud-of-se/tses/drivers/softse/gp"
	"github.com/cloud-of-se/tses/drivers/softse/internal/offcard"
)

// world is a card and a model of it: what the specification says of life
// cycles, selection and secure channels, in the simplest words.
type world struct {
	t        *rapid.T
	c        *Card
	store    *memory
	card     byte
	apps     map[string]*modelApp
	channels [Channels]modelChannel
}

type modelApp struct {
	domain bool
	state  byte
	above  string
}

type modelChannel struct {
	open     bool
	selected string        // AID, empty if none
	host     *offcard.Host // nil without a secure channel
}

// pool are the AIDs that the commands speak of.
var pool = []string{isdAID, appModule, "F000000001", ssdAID, ssdModule + "02"}

func newWorld(t *rapid.T) *world {
	w := &world{t: t, store: &memory{}, card: 0x01}
	w.apps = map[string]*modelApp{
		isdAID:    {domain: true, state: 0x0F, above: isdAID},
		appModule: {state: 0x07, above: isdAID},
		ssdAID:    {domain: true, state: 0x07, above: isdAID},
	}
	w.start()
	return w
}

func (w *world) start() {
	opts := testOpts(w.store)
	opts.Preinstalled = []Instance{
		{Package: testPackage, Module: testModule, AID: testModule},
		{Package: gp.DomainPackage, Module: gp.DomainModule, AID: apdu.MustAID(ssdAID)},
	}
	c, err := New(opts)
	if err != nil {
		w.t.Fatal(err)
	}
	w.c = c
	if _, err := c.PowerOn(context.Background()); err != nil {
		w.t.Fatal(err)
	}
	w.channels = [Channels]modelChannel{{open: true, selected: isdAID}}
}

func (w *world) locked() bool { return w.card == 0x7F || w.card == 0xFF }

func (w *world) selectable(aid string) bool {
	a := w.apps[aid]
	return aid == isdAID || a != nil && !w.locked() && a.state&0x87 == 0x07
}

// under tells whether aid is below sd.
func (w *world) under(aid, sd string) bool {
	for aid != isdAID {
		if aid = w.apps[aid].above; aid == sd {
			return true
		}
	}
	return false
}

func (w *world) transmit(command []byte) (data []byte, sw uint16, err error) {
	answer, err := w.c.Transmit(context.Background(), command)
	if err != nil {
		w.t.Fatalf("%X: %v", command, err)
	}
	n := len(answer) - 2
	return answer[:n], uint16(answer[n])<<8 | uint16(answer[n+1]), nil
}

func (w *world) want(what string, got, want uint16) {
	if got != want {
		w.t.Fatalf("%s: %04X, want %04X", what, got, want)
	}
}

func (w *world) channel() int { return rapid.IntRange(0, Channels-1).Draw(w.t, "channel") }

func (w *world) aid() string { return rapid.SampledFrom(pool).Draw(w.t, "aid") }

// check compares the channels with the model, and ends in the model what the
// card has to end.
func (w *world) check(*rapid.T) {
	for i, ch := range w.c.channels {
		m := &w.channels[i]
		is := ""
		if ch.instance != nil {
			is = strings.ToUpper(hex.EncodeToString([]byte(ch.instance.AID)))
		}
		if ch.open != m.open || is != m.selected {
			w.t.Fatalf("channel %d: open %v with %q, want %v with %q", i, ch.open, is, m.open, m.selected)
		}
		if is != "" && !w.selectable(is) {
			w.t.Fatalf("channel %d: %s is selected and is not selectable", i, is)
		}
	}
}

// management is a management command, whether it is legal, and what it does.
type management struct {
	header, data string
	legal        bool
	effect       func()
}

func (w *world) draw(actor string) management {
	aid, other := w.aid(), w.aid()
	app := w.apps[aid]
	managed := app != nil && aid != isdAID && w.under(aid, actor)
	issuer := actor == isdAID && !w.locked()
	lv1 := lv(aid)
	switch rapid.SampledFrom([]string{"install", "install", "install", "selectable", "delete", "delete", "lock", "lock", "extradite", "extradite", "card"}).Draw(w.t, "command") {
	case "install":
		domain := strings.HasPrefix(aid, ssdModule)
		p1 := rapid.SampledFrom([]byte{0x04, 0x0C}).Draw(w.t, "P1")
		state := map[byte]byte{0x04: 0x03, 0x0C: 0x07}[p1]
		data := lv(appPackage, appModule, aid, "00", "", "")
		if domain {
			data = lv(ssdPackage, ssdModule, aid, "80", "", "")
		}
		return management{fmt.Sprintf("80E6%02X00", p1), data, issuer && app == nil, func() {
			w.apps[aid] = &modelApp{domain: domain, state: state, above: actor}
		}}
	case "selectable":
		return management{"80E60800", lv("", "", aid, "", "", ""), issuer && managed && app.state == 0x03, func() { app.state = 0x07 }}
	case "delete":
		return w.deletion(aid, issuer && managed)
	case "lock":
		bit := rapid.SampledFrom([]byte{0x00, 0x80}).Draw(w.t, "lock")
		legal := managed && !w.locked() && app.state&0x80 != bit
		return management{fmt.Sprintf("80F040%02X", bit), aid, legal, func() { app.state = app.state&0x7F | bit }}
	case "card":
		to := rapid.SampledFrom([]byte{0x07, 0x0F, 0x0F, 0x0F, 0x7F, 0x0F, 0x0F, 0x7F, 0x0F, 0x01, 0xFF}).Draw(w.t, "state")
		next := map[byte]string{0x01: "\x07\xFF", 0x07: "\x0F\xFF", 0x0F: "\x7F\xFF", 0x7F: "\x0F\xFF"}[w.card]
		return management{fmt.Sprintf("80F080%02X", to), "", actor == isdAID && strings.IndexByte(next, to) >= 0, func() { w.card = to }}
	}
	target := w.apps[other]
	legal := issuer && managed && target != nil && target.domain && w.selectable(other) && other != aid && !w.under(other, aid)
	return management{"80E61000", lv(other, "") + lv1 + lv("", "", ""), legal, func() { app.above = other }}
}

func (w *world) deletion(aid string, legal bool) management {
	p2 := rapid.SampledFrom([]byte{0x00, 0x80}).Draw(w.t, "P2")
	gone := []string{aid}
	for other := range w.apps {
		if legal && other != aid && w.under(other, aid) {
			gone = append(gone, other)
		}
	}
	legal = legal && (len(gone) == 1 || p2 == 0x80)
	for _, ch := range w.channels {
		legal = legal && !slices.Contains(gone, ch.selected)
	}
	return management{fmt.Sprintf("80E400%02X", p2), "4F" + lv(aid), legal, func() {
		for _, aid := range gone {
			delete(w.apps, aid)
		}
	}}
}

// settle ends in the model what a change ends on the channels.
func (w *world) settle() {
	for i := range w.channels {
		m := &w.channels[i]
		if w.card == 0xFF {
			m.host = nil
		}
		if m.selected != "" && !w.selectable(m.selected) {
			m.selected, m.host = "", nil
		}
	}
}

func mustHex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err) // a test that is wrong
	}
	return b
}
