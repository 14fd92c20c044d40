package apdu_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/cloud-of-se/tses/apdu"
)

func TestParseHistorical(t *testing.T) {
	tests := []struct {
		name, in string
		objects  int
		channels int // 0: no card capabilities
		status   apdu.CardStatus
	}{
		{"sysmoUSIM", "80 31A0 73BE2113 67 43200718000001", 3, 4, apdu.CardStatus{}},
		{"PIVKey", "00 73C84000 009000", 1, 1, apdu.CardStatus{SW: 0x9000, HasLifeCycle: true, HasSW: true}},
		{"status in TLV", "80 829000", 1, 0, apdu.CardStatus{SW: 0x9000, HasSW: true}},
		{"life cycle in TLV", "80 8105", 1, 0, apdu.CardStatus{LifeCycle: 5, HasLifeCycle: true}},
		{"all in TLV", "80 83 07 9000", 1, 0, apdu.CardStatus{LifeCycle: 7, SW: 0x9000, HasLifeCycle: true, HasSW: true}},
		{"one table", "80 71C0", 1, 1, apdu.CardStatus{}},
		{"category alone", "80", 0, 0, apdu.CardStatus{}},
		{"status alone", "00 059000", 0, 0, apdu.CardStatus{LifeCycle: 5, SW: 0x9000, HasLifeCycle: true, HasSW: true}},
		{"DIR reference", "10 01", 0, 0, apdu.CardStatus{}},
		{"proprietary", "59 7562696B657934", 0, 0, apdu.CardStatus{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := unhex(t, tt.in)
			h, err := apdu.ParseHistorical(in)
			if err != nil || len(h.Objects) != tt.objects {
				t.Fatalf("got %+v, %v", h, err)
			}
			c, ok := h.Capabilities()
			if ok != (tt.channels > 0) || ok && c.Channels() != tt.channels {
				t.Errorf("capabilities %+v, %v", c, ok)
			}
			if got, ok := h.Status(); got != tt.status || ok != (tt.status != apdu.CardStatus{}) {
				t.Errorf("status %+v, %v", got, ok)
			}
			if got, err := h.Bytes(); err != nil || !bytes.Equal(got, in) {
				t.Errorf("encoded again %X, %v", got, err)
			}
		})
	}
}

func TestHistoricalRefuses(t *testing.T) {
	for in, says := range map[string]string{
		"":               "0 bytes",
		zeros(16):        "16 bytes",
		"80 73C0":        "announces 3 bytes, 1 are there",
		"00 9000":        "status indicator",
		"00 7F01 059000": "announces 15",
	} {
		if _, err := apdu.ParseHistorical(unhex(t, in)); !errors.Is(err, apdu.ErrMalformed) || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want an error that says %q", in, err, says)
		}
	}
	long := apdu.CompactTLV{Tag: 5, Value: make([]byte, 15)}
	for says, h := range map[string]apdu.Historical{
		"fields that category 80": {Category: 0x80, Proprietary: []byte{1}},
		"fields that category 59": {Category: 0x59, Objects: []apdu.CompactTLV{long}},
		"status indicator of 0":   {Category: 0x00},
		"status indicator of 3":   {Category: 0x80, Trailer: make([]byte, 3)},
		"tag 10":                  {Category: 0x80, Objects: []apdu.CompactTLV{{Tag: 16}}},
		"17 bytes, 15":            {Category: 0x80, Objects: []apdu.CompactTLV{long}},
	} {
		if got, err := h.Bytes(); !errors.Is(err, apdu.ErrMalformed) || !strings.Contains(err.Error(), says) {
			t.Errorf("got %X, %v; want an error that says %q", got, err, says)
		}
	}
}

func TestCapabilitiesInWords(t *testing.T) {
	for want, c := range map[string]apdu.CardCapabilities{
		"none told":              {},
		"selection by full name": {Selection: apdu.SelectByFullName},
		"command chaining, extended length, 4 logical channels": {
			Features: apdu.CommandChaining | apdu.ExtendedLength | apdu.ChannelNumberByCard | 3,
		},
	} {
		if got := c.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
