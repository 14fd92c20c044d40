package racs_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cloud-of-se/tses/stp/racs"
)

func TestParseStatus(t *testing.T) {
	tests := []struct {
		line string
		want racs.Status
	}{
		{"+006 002 9000", racs.Status{OK: true, Verb: racs.APDU, Line: 2, Text: "9000"}},
		{"+001 000", racs.Status{OK: true, Verb: racs.Begin}},
		{"+007 001 ", racs.Status{OK: true, Verb: racs.Shutdown, Line: 1}},
		{"+004 001 a b ", racs.Status{OK: true, Verb: racs.List, Line: 1, Text: "a b "}},
		{"-708 4096 in use", racs.Status{Class: racs.InUse, Verb: racs.PowerOn, Line: 4096, Text: "in use"}},
		{"-006 003 SW 6A82", racs.Status{Class: racs.ExecutionError, Verb: racs.APDU, Line: 3, Text: "SW 6A82"}},
		{"+009 001 \xc3\xa9\x80\ta", racs.Status{OK: true, Verb: racs.Echo, Line: 1, Text: "\xc3\xa9\x80\ta"}},
		{"-999 012 x", racs.Status{Class: racs.SystemError, Verb: 99, Line: 12, Text: "x"}},
	}
	for _, test := range tests {
		got, err := racs.ParseStatus([]byte(test.line))
		if err != nil {
			t.Errorf("ParseStatus(%q): %v", test.line, err)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("ParseStatus(%q) (-want +got):\n%s", test.line, diff)
		}
	}
}

func TestParseStatusRefuses(t *testing.T) {
	for _, line := range []string{
		"", "END", "+006", "+006 02", "+006 02 9000", " 006 002 9000", "*006 002 9000", "+106 002 9000", "+0a6 002 9000",
		"+006-002 9000", "+006 0002 9000", "+006 002\t9000", "+006 00x 9000", "+006 002 90\x0000", "+006 002 9000\r",
		"+006 -02 9000", "+006 99999999 9000", "HTTP/1.1 400 Bad Request", "+006  002 9000", "+006 002 \x7f", "-006 002 \x1b[2J",
	} {
		if got, err := racs.ParseStatus([]byte(line)); !errors.Is(err, racs.ErrNotRACS) {
			t.Errorf("ParseStatus(%q) = %+v, %v, want ErrNotRACS", line, got, err)
		}
	}
}

func TestParseStatusErrorIsShort(t *testing.T) {
	_, err := racs.ParseStatus([]byte(strings.Repeat("x", 100000)))
	if n := len(err.Error()); n > 200 {
		t.Errorf("an error of %d bytes quotes the whole line", n)
	}
}

func FuzzParseStatus(f *testing.F) {
	for _, seed := range []string{"+006 002 9000", "+001 000", "-708 4096 in use", "+009 001 \x80", "+007 001 "} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		status, err := racs.ParseStatus(line)
		if err != nil {
			if !errors.Is(err, racs.ErrNotRACS) {
				t.Fatalf("ParseStatus(%q): %v does not match ErrNotRACS", line, err)
			}
			return
		}
		again, err := racs.ParseStatus(status.Append(nil))
		if err != nil || again != status {
			t.Fatalf("%+v became %+v, %v on its way through Append", status, again, err)
		}
		if status.Text != "" && status.String() != string(line) {
			t.Fatalf("ParseStatus(%q) reads %q", line, status.String())
		}
	})
}
