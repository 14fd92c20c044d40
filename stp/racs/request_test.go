package racs_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/cloud-of-se/tses/apdu"
	"github.com/cloud-of-se/tses/stp/racs"
)

var selectMF = []byte{0x00, 0xA4, 0x04, 0x00, 0x02, 0x3F, 0x00}

func TestRequestBytes(t *testing.T) {
	tests := []struct {
		request *racs.Request
		want    string
	}{
		{racs.NewRequest(""), "BEGIN \r\nEND\r\n"},
		{racs.NewRequest("r1").List(), "BEGIN r1\r\nLIST\r\nEND\r\n"},
		{racs.NewRequest("r").Version().Echo("hello").Quit(), "BEGIN r\r\nGET-VERSION\r\nECHO hello\r\nQUIT\r\nEND\r\n"},
		{racs.NewRequest("r").PowerOn("a").Keep().Reset("a", false).Reset("a", true).Shutdown("a"),
			"BEGIN r\r\nPOWERON a APPEND\r\nRESET a\r\nRESET a WARM\r\nSHUTDOWN a\r\nEND\r\n"},
		{racs.NewRequest("r").APDU("a", selectMF, racs.APDUOptions{}).Keep(), "BEGIN r\r\nAPDU a 00A40400023F00 APPEND\r\nEND\r\n"},
		{racs.NewRequest("r").APDU("a", selectMF, racs.APDUOptions{Continue: 0x9000, More: 0x9F, Fetch: [4]byte{0xA0, 0xC0, 0, 0}}),
			"BEGIN r\r\nAPDU a 00A40400023F00 CONTINUE=9000 MORE=9F FETCH=A0C00000\r\nEND\r\n"},
		{racs.NewRequest("r").APDU("a", selectMF, racs.APDUOptions{Raw: true, Continue: 0x9000}), "BEGIN r\r\nAPDU a 00A40400023F00 CONTINUE=9000 RAW\r\nEND\r\n"},
		{racs.NewRequest("r").Add("SET-VERSION", "0.3"), "BEGIN r\r\nSET-VERSION 0.3\r\nEND\r\n"},
	}
	for _, test := range tests {
		if err := test.request.Err(); err != nil {
			t.Errorf("%q: %v", test.want, err)
		}
		if got := string(test.request.Bytes()); got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
}

func TestRequestRefuses(t *testing.T) {
	many := racs.NewRequest("many")
	for range racs.MaxCommands + 1 {
		many.List()
	}
	tests := []struct {
		name    string
		request *racs.Request
		says    string
	}{
		{"a long name", racs.NewRequest(strings.Repeat("n", 65)), "65 bytes"},
		{"a name with a space", racs.NewRequest("a b"), "20"},
		{"a name with a line in it", racs.NewRequest("a\r\nLIST"), "0D"},
		{"an empty SEID", racs.NewRequest("").PowerOn(""), "empty token"},
		{"a SEID with a space", racs.NewRequest("").PowerOn("a b"), "byte 20"},
		{"a SEID with NUL", racs.NewRequest("").Shutdown("a\x00"), "byte 00"},
		{"a SEID that reads as APPEND", racs.NewRequest("").PowerOn("APPEND"), "call Keep"},
		{"a command with a line in it", racs.NewRequest("").Add("LIST\nQUIT"), "0A"},
		{"END as a command", racs.NewRequest("").Add("END"), "END is no command"},
		{"keeping nothing", racs.NewRequest("").Keep(), "no command"},
		{"no APDU", racs.NewRequest("").APDU("a", []byte{0, 0xA4, 4}, racs.APDUOptions{}), "APDU for a"},
		{"RAW with MORE", racs.NewRequest("").APDU("a", selectMF, racs.APDUOptions{Raw: true, More: 0x61}), "neither More nor Fetch"},
		{"RAW with FETCH", racs.NewRequest("").APDU("a", selectMF, racs.APDUOptions{Raw: true, Fetch: [4]byte{0xA0, 0xC0}}), "neither More nor Fetch"},
		{"a long line", racs.NewRequest("").Echo(strings.Repeat("e", racs.MaxLine-10)), "at most 196608"},
		{"too many commands", many, "more than 4096"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := test.request.Err()
			if !errors.Is(err, racs.ErrRequest) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %v, want an ErrRequest that says %q", err, test.says)
			}
		})
	}
	if err := racs.NewRequest("").APDU("a", nil, racs.APDUOptions{}).Err(); !errors.Is(err, apdu.ErrMalformed) {
		t.Errorf("got %v, want apdu.ErrMalformed", err)
	}
}
