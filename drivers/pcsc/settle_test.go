package pcsc

import (
	"bytes"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/cloud-of-se/tses/drivers"
	"github.com/cloud-of-se/tses/pcsclite"
)

// holds is a reader with a card of this answer to reset; nil is an empty reader.
func holds(name string, atr []byte) reader {
	return reader{name: name, card: atr != nil, atr: atr}
}

// What the inventory has after each of a row of looks.
func TestSettle(t *testing.T) {
	const one, two = "ACS ACR39U 00 00", "ACS ACR39U 01 00"
	tests := []struct {
		name  string
		looks [][]reader
		want  []string // the reader of each found SE, after each look
	}{
		{"a card comes and goes", [][]reader{{holds(one, nil)}, {holds(one, simATR)}, {holds(one, nil)}, nil}, []string{"", one, "", ""}},
		{"mute", [][]reader{{{name: one, card: true}}}, []string{""}},
		{"another number", [][]reader{{holds(one, simATR)}, {holds(two, simATR)}}, []string{one, two}},
		{"another card", [][]reader{{holds(one, simATR)}, {holds(one, tokenATR)}}, []string{one, one}},
		{"two of a kind", [][]reader{{holds(one, simATR), holds(two, simATR)}, {holds(two, simATR)}}, []string{one, two}},
		{"who came first", [][]reader{{holds(two, simATR)}, {holds(one, simATR), holds(two, simATR)}, {holds(one, simATR)}}, []string{two, two, one}},
		{"told apart by the card", [][]reader{{holds(one, simATR), holds(two, tokenATR)}}, []string{one + "," + two}},
	}
	for _, tt := range tests {
		found := newShelf()
		h := NewHost(Options{Found: found})
		for i, seen := range tt.looks {
			h.settle(seen, nil)
			var got []string
			for _, seid := range found.seids() {
				reader, err := found.get(seid).(*Card).where()
				if err != nil {
					t.Errorf("%s: %v", tt.name, err)
				}
				got = append(got, reader)
			}
			slices.Sort(got)
			if strings.Join(got, ",") != tt.want[i] {
				t.Errorf("%s, look %d: %q, want %q", tt.name, i+1, got, tt.want[i])
			}
		}
	}
}

// Two that cannot be told apart are said once.
func TestDoublesAreTold(t *testing.T) {
	var log bytes.Buffer
	h := NewHost(Options{Found: newShelf(), Log: slog.New(slog.NewTextHandler(&log, nil))})
	for range 3 {
		h.settle([]reader{holds("ACS 00 00", simATR), holds("ACS 01 00", simATR)}, nil)
	}
	if n := strings.Count(log.String(), "level=ERROR"); n != 1 || !strings.Contains(log.String(), `other="ACS 00 00"`) {
		t.Errorf("the log has %d errors:\n%s", n, log.String())
	}
}

// Elements choose in their order and stay where they are.
func TestPlaceElements(t *testing.T) {
	found := newShelf()
	h := NewHost(Options{Found: found})
	var ses []*Card
	for _, m := range []Match{{Reader: "ACS*"}, {ATR: "3B80*"}, {Reader: "OMNIKEY*", ATR: "3B81*"}} {
		se, err := h.Element(m)
		if err != nil {
			t.Fatal(err)
		}
		ses = append(ses, se)
	}
	places := func() (places []string) {
		for _, se := range ses {
			reader, err := se.where()
			if err != nil && !errors.Is(err, drivers.ErrNoCard) {
				t.Error(err)
			}
			places = append(places, reader)
		}
		return places
	}
	for i, step := range []struct {
		seen  []reader
		want  []string
		found int
	}{
		{nil, []string{"", "", ""}, 0},
		{[]reader{holds("ACS 00 00", nil)}, []string{"ACS 00 00", "", ""}, 0},
		{[]reader{holds("ACS 00 00", simATR)}, []string{"ACS 00 00", "", ""}, 0}, // the first has it
		{[]reader{holds("A", simATR), holds("ACS 00 00", simATR), holds("OMNIKEY", simATR)}, []string{"ACS 00 00", "A", ""}, 1},
		{[]reader{holds("ACS 01 00", simATR), holds("ACS 00 00", nil), holds("A", simATR)}, []string{"ACS 00 00", "A", ""}, 1},
		{[]reader{holds("A", tokenATR), holds("OMNIKEY", tokenATR)}, []string{"", "", "OMNIKEY"}, 1},
	} {
		h.settle(step.seen, nil)
		if got := places(); !slices.Equal(got, step.want) {
			t.Errorf("step %d: %q, want %q", i, got, step.want)
		}
		if got := len(found.seids()); got != step.found {
			t.Errorf("step %d: %d others, want %d", i, got, step.found)
		}
	}
	h.settle(nil, pcsclite.ENoService)
	if _, err := ses[0].where(); !errors.Is(err, drivers.ErrNoCard) || !strings.Contains(err.Error(), "pcscd") {
		t.Errorf("without pcscd: %v", err)
	}
}

// What the errors of the resource manager mean.
func TestExplain(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want error
	}{
		{pcsclite.ENoSmartcard, drivers.ErrRemoved},
		{pcsclite.WRemovedCard, drivers.ErrRemoved},
		{pcsclite.EReaderUnavailable, drivers.ErrRemoved},
		{pcsclite.ENoService, drivers.ErrRemoved},
		{pcsclite.FCommError, drivers.ErrRemoved},
		{pcsclite.EInvalidHandle, drivers.ErrRemoved},
		{pcsclite.WUnresponsiveCard, drivers.ErrMute},
		{pcsclite.WUnpoweredCard, drivers.ErrMute},
		{pcsclite.ENotTransacted, drivers.ErrProtocol},
		{pcsclite.EProtoMismatch, drivers.ErrProtocol},
		{pcsclite.ESharingViolation, errInUse},
		{pcsclite.ENoMemory, pcsclite.ENoMemory},
	} {
		got := explain(tt.err, drivers.ErrRemoved)
		if !errors.Is(got, tt.want) || !errors.Is(got, tt.err) {
			t.Errorf("%v became %v, want %v", tt.err, got, tt.want)
		}
		for _, other := range []error{drivers.ErrRemoved, drivers.ErrMute, drivers.ErrProtocol, errInUse, drivers.ErrNoCard} {
			if other != tt.want && errors.Is(got, other) {
				t.Errorf("%v became %v too", tt.err, other)
			}
		}
	}
	if explain(nil, drivers.ErrRemoved) != nil {
		t.Error("no error became one")
	}
}

// A card without power keeps the answer to reset that it had, one that was
// exchanged does not.
func TestRemember(t *testing.T) {
	on := []reader{{"ACS", true, simATR, 7}}
	for _, tt := range []struct {
		name string
		now  reader
		want []byte
	}{
		{"without power", reader{"ACS", true, nil, 7}, simATR},
		{"with another answer", reader{"ACS", true, tokenATR, 7}, tokenATR},
		{"without a card", reader{"ACS", false, nil, 8}, nil},
		{"exchanged for a mute one", reader{"ACS", true, nil, 9}, nil},
		{"in another reader", reader{"OMNIKEY", true, nil, 7}, nil},
	} {
		if got := remember([]reader{tt.now}, on)[0]; string(got.atr) != string(tt.want) || got.card != tt.now.card {
			t.Errorf("%s: %+v, want %X", tt.name, got, tt.want)
		}
	}
	if got := remember([]reader{{"ACS", true, nil, 0}}, nil); got[0].atr != nil {
		t.Errorf("a mute card has the answer of none: %+v", got)
	}
}
