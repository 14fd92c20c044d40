//go:build !scard && !windows && !(darwin && cgo)

package pcsc

import (
	"testing"

	"github.com/cloud-of-se/tses/pcsclite"
)

func TestReadersOf(t *testing.T) {
	for _, tt := range []struct {
		status pcsclite.Status
		atr    []byte
		want   []reader
	}{
		{pcsclite.Absent, nil, []reader{{"ACS", false, nil, 3}}},
		{pcsclite.Absent, simATR, []reader{{"ACS", false, nil, 3}}},
		{pcsclite.Present, nil, []reader{{"ACS", true, nil, 3}}},
		{pcsclite.Present | pcsclite.Powered | pcsclite.Negotiable, simATR, []reader{{"ACS", true, simATR, 3}}},
		{pcsclite.Present | pcsclite.Swallowed, nil, []reader{{"ACS", true, nil, 3}}},
		{pcsclite.Unknown, nil, nil},
	} {
		got := readersOf([]pcsclite.ReaderState{{Name: "ACS", Status: tt.status, ATR: tt.atr, Events: 3}})
		if len(got) != len(tt.want) || len(got) == 1 && (got[0].name != "ACS" || got[0].card != tt.want[0].card || got[0].events != 3 || string(got[0].atr) != string(tt.want[0].atr)) {
			t.Errorf("%#x: %+v, want %+v", tt.status, got, tt.want)
		}
	}
}
