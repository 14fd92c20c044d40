package softse

import (
	"context"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/cloud-of-se/tses/drivers/softse/internal/offcard"
)

func (w *world) doSelect(*rapid.T) {
	n, aid := w.channel(), w.aid()
	_, sw, _ := w.transmit(mustHex(fmt.Sprintf("%02XA4040C%02X%s", n, len(aid)/2, aid)))
	m := &w.channels[n]
	switch {
	case !m.open:
		w.want("SELECT", sw, 0x6881)
	case w.card == 0xFF, w.card == 0x7F && aid != isdAID:
		w.want("SELECT", sw, 0x6A81)
	case !w.selectable(aid):
		w.want("SELECT "+aid, sw, 0x6A82)
	default:
		want := uint16(0x9000)
		if w.locked() {
			want = 0x6283
		}
		w.want("SELECT "+aid, sw, want)
		m.selected, m.host = aid, nil
	}
}

func (w *world) doOpen(*rapid.T) {
	n, number := w.channel(), rapid.IntRange(0, Channels).Draw(w.t, "number")
	_, sw, _ := w.transmit([]byte{byte(n), 0x70, 0, byte(number), 1})
	if number == 0 {
		for number = 1; number < Channels && w.channels[number].open; number++ {
		}
	}
	switch {
	case !w.channels[n].open:
		w.want("MANAGE CHANNEL", sw, 0x6881)
	case w.locked() || number == Channels || w.channels[number].open:
		w.want("MANAGE CHANNEL", sw, 0x6A81)
	default:
		w.want("MANAGE CHANNEL", sw, 0x9000)
		w.channels[number] = modelChannel{open: true, selected: isdAID}
		if n != 0 {
			w.channels[number].selected = w.channels[n].selected
		}
	}
}

func (w *world) doClose(*rapid.T) {
	n, number := w.channel(), rapid.IntRange(0, Channels).Draw(w.t, "number")
	_, sw, _ := w.transmit([]byte{byte(n), 0x70, 0x80, byte(number)})
	m := w.channels[n]
	if number == 0 {
		number = n
	}
	switch {
	case !m.open:
		w.want("close", sw, 0x6881)
	case w.locked() || number == 0 || number == Channels:
		w.want("close", sw, 0x6A81)
	case !w.channels[number].open:
		w.want("close", sw, 0x6200)
	default:
		w.want("close", sw, 0x9000)
		w.channels[number] = modelChannel{}
	}
}

// doAuthenticate opens a secure channel, of a domain that is selected or that
// it selects first.
func (w *world) doAuthenticate(*rapid.T) {
	n := w.channel()
	m := &w.channels[n]
	if !m.open {
		return
	}
	if m.selected == "" || !w.apps[m.selected].domain {
		if w.card == 0xFF {
			return
		}
		if _, sw, _ := w.transmit([]byte{byte(n), 0xA4, 4, 0}); sw != 0x9000 && sw != 0x6283 {
			w.t.Fatalf("SELECT of the issuer security domain: %04X", sw)
		}
		m.selected = isdAID
	}
	m.host = nil
	h := &offcard.Host{Channel: n}
	level := rapid.SampledFrom([]byte{0x01, 0x03, 0x11, 0x13, 0x33}).Draw(w.t, "level")
	mode := rapid.SampledFrom([]int{8, 16}).Draw(w.t, "mode")
	err := h.Open(w.transmit, offcard.TestKeys(), make([]byte, mode), level)
	if (err == nil) != (w.card != 0xFF) {
		w.t.Fatalf("secure channel in card state %02X: %v", w.card, err)
	}
	if err == nil {
		m.host = h
	}
}

// doManage sends some management commands over one of the secure channels.
func (w *world) doManage(t *rapid.T) {
	var with []int
	for i, m := range w.channels {
		if m.host != nil {
			with = append(with, i)
		}
	}
	if len(with) == 0 {
		w.doAuthenticate(t)
		return
	}
	m := &w.channels[rapid.SampledFrom(with).Draw(w.t, "channel")]
	for range rapid.IntRange(1, 6).Draw(w.t, "commands") {
		if m.host == nil {
			return
		}
		cmd := w.draw(m.selected)
		_, sw, err := m.host.Send(w.transmit, mustHex(cmd.header), mustHex(cmd.data))
		if err != nil || (sw == 0x9000) != cmd.legal {
			w.t.Fatalf("%s %s by %s: %04X %v, legal: %v", cmd.header, cmd.data, m.selected, sw, err, cmd.legal)
		}
		if cmd.legal {
			cmd.effect()
		}
		w.settle()
		w.check(t)
	}
}

// doForge sends a management command in clear, or with a MAC that is wrong.
func (w *world) doForge(*rapid.T) {
	n := w.channel()
	m := &w.channels[n]
	cmd := w.draw(isdAID)
	header, data := mustHex(cmd.header), mustHex(cmd.data)
	header[0] |= byte(n)
	if rapid.Bool().Draw(w.t, "with a MAC") {
		header[0] |= 0x04
		data = append(data, 1, 2, 3, 4, 5, 6, 7, 8)
		m.host = nil
	}
	_, sw, _ := w.transmit(append(append(header, byte(len(data))), data...))
	if sw>>12 != 6 || sw>>8 == 0x61 || sw>>8 == 0x62 || sw>>8 == 0x63 {
		w.t.Fatalf("%s %s without its secure channel: %04X", cmd.header, cmd.data, sw)
	}
}

func (w *world) doUse(*rapid.T) {
	n := w.channel()
	m := w.channels[n]
	_, sw, _ := w.transmit([]byte{byte(n), insHeader, 0, 0, 3})
	want := uint16(0x9000)
	switch {
	case !m.open:
		want = 0x6881
	case m.selected == "":
		want = 0x6985
	case w.apps[m.selected].domain:
		want = 0x6D00
	}
	w.want("a command for the application", sw, want)
}

func (w *world) doReset(*rapid.T) {
	if rapid.Bool().Draw(w.t, "new process") {
		w.start()
		return
	}
	if _, err := w.c.Reset(context.Background(), 0); err != nil {
		w.t.Fatal(err)
	}
	w.channels = [Channels]modelChannel{{open: true, selected: isdAID}}
}

// doBoth makes two things of one draw, so that selections and secure channels
// meet more often.
func (w *world) doBoth(t *rapid.T) {
	for range 3 {
		w.doSelect(t)
		w.doAuthenticate(t)
		w.doManage(t)
	}
}

// Random commands, legal and illegal, on all channels: the card does what the
// model says, and nothing without a secure channel.
func TestLifeCycle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		for range 8 { // most interesting things need channels that are open
			w.doOpen(t)
		}
		t.Repeat(map[string]func(*rapid.T){
			"":             w.check,
			"select":       w.doSelect,
			"open":         w.doOpen,
			"close":        w.doClose,
			"authenticate": w.doAuthenticate,
			"manage":       w.doManage,
			"manage more":  w.doManage,
			"both":         w.doBoth,
			"forge":        w.doForge,
			"use":          w.doUse,
			"reset":        w.doReset,
		})
	})
}
