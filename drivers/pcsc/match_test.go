package pcsc

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestMatch(t *testing.T) {
	atr := []byte{0x3B, 0x80, 0x01, 0x81}
	tests := []struct {
		match  Match
		reader string
		atr    []byte
		want   bool
	}{
		{Match{Reader: "ACS ACR39U 00 00"}, "ACS ACR39U 00 00", nil, true},
		{Match{Reader: "ACS*"}, "ACS ACR39U 00 00", nil, true},
		{Match{Reader: "acs*"}, "ACS ACR39U 00 00", nil, true},
		{Match{Reader: "*?? 01"}, "ACS ACR39U 03 01", nil, true},
		{Match{Reader: "*?? 01"}, "ACS ACR39U 03 00", nil, false},
		{Match{Reader: "*[CCID]*"}, "Yubico YubiKey [CCID] 00 00", nil, true},
		{Match{Reader: "ACS"}, "ACS ACR39U 00 00", nil, false},
		{Match{Reader: "*a*a*b"}, "aaaaaaab", nil, true},
		{Match{Reader: "*a*a*b"}, "aaaaaaac", nil, false},
		{Match{ATR: "3B8001*"}, "any", atr, true},
		{Match{ATR: "3b8001??"}, "any", atr, true},
		{Match{ATR: "3B8001"}, "any", atr, false},
		{Match{ATR: "*"}, "any", nil, false},
		{Match{Reader: "ACS*", ATR: "3B*"}, "ACS", atr, true},
		{Match{Reader: "ACS*", ATR: "3F*"}, "ACS", atr, false},
		{Match{Reader: "OMNIKEY*", ATR: "3B*"}, "ACS", atr, false},
		{Match{}, "ACS", atr, false},
		{Match{Reader: "*", ATR: "3B 80"}, "ACS", atr, false}, // Check says why
	}
	for _, tt := range tests {
		if got := tt.match.Fits(tt.reader, tt.atr); got != tt.want {
			t.Errorf("%s fits %q with %X: %v, want %v", tt.match, tt.reader, tt.atr, got, tt.want)
		}
	}
}

func TestMatchCheck(t *testing.T) {
	for _, good := range []Match{{Reader: "*"}, {ATR: "3B??*"}, {Reader: "x", ATR: "3b"}} {
		if err := good.Check(); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	if err := (Match{}).Check(); !errors.Is(err, ErrNoMatch) {
		t.Errorf("empty: %v, want %v", err, ErrNoMatch)
	}
	if err := (Match{ATR: "3B 80"}).Check(); err == nil {
		t.Error("a space in an ATR is taken")
	}
}

// A pattern that is made of a string by putting '?' and '*' into it fits it.
func TestGlobFitsWhatItWasMadeOf(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.StringMatching(`[a-c]{0,12}`).Draw(t, "s")
		var pattern strings.Builder
		for i := 0; i < len(s); {
			switch n := rapid.IntRange(0, len(s)-i).Draw(t, "n"); rapid.IntRange(0, 2).Draw(t, "kind") {
			case 0:
				pattern.WriteByte('*')
				i += n
			case 1:
				pattern.WriteByte('?')
				i++
			default:
				pattern.WriteByte(s[i])
				i++
			}
		}
		if !glob(pattern.String(), s) {
			t.Fatalf("%q does not fit %q", pattern.String(), s)
		}
		if glob(pattern.String()+"x", s) {
			t.Fatalf("%q fits %q", pattern.String()+"x", s)
		}
	})
}
