package apdu_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/cloud-of-se/tses/apdu"
)

// The answers to reset of cards in the field, as published in the list of
// known ATRs of pcsc-tools (smartcard_list.txt).
var fieldATRs = []struct {
	card, atr string
	protocols []int
	rate      apdu.Rate
	guard     int
	t1        apdu.T1Parameters // where T=1 is offered
	hist      int
}{
	{"Schlumberger Multiflex 3k", "3B 02 14 50", []int{0}, apdu.Rate{Fi: 372, Di: 1, FMax: 5e6}, 0, apdu.T1Parameters{}, 2},
	{"France Telecom card", "3F 65 25 08 23 04 68 90 00", []int{0}, apdu.Rate{Fi: 372, Di: 1, FMax: 5e6}, 8, apdu.T1Parameters{}, 5},
	{"Belgium electronic ID card", "3B 98 13 40 0A A5 03 01 01 01 AD 13 11", []int{0}, apdu.Rate{Fi: 372, Di: 4, FMax: 5e6}, 0, apdu.T1Parameters{}, 8},
	{"Gemplus GemXpresso 211is", "3B 6E 00 00 80 31 80 65 B0 03 02 01 5E 83 00 00 90 00", []int{0}, apdu.Rate{Fi: 372, Di: 1, FMax: 5e6}, 0, apdu.T1Parameters{}, 14},
	{"WG10", "3B 7F 38 00 00 00 6A 43 45 52 45 53 02 2C 34 02 02 03 90 00", []int{0}, apdu.Rate{Fi: 744, Di: 12, FMax: 8e6}, 0, apdu.T1Parameters{}, 15},
	{"sysmoUSIM-SJS1", "3B 9F 96 80 1F C7 80 31 A0 73 BE 21 13 67 43 20 07 18 00 00 01 A5", []int{0}, apdu.Rate{Fi: 512, Di: 32, FMax: 5e6}, 0, apdu.T1Parameters{}, 15},
	{"Oberthur ID-One Cosmo v5.2D", "3B DB 96 00 80 1F 03 00 31 C0 64 77 E3 03 00 82 90 00 C1", []int{0}, apdu.Rate{Fi: 512, Di: 32, FMax: 5e6}, 0, apdu.T1Parameters{}, 11},
	{"Estonian identity card EstEID v3.5", "3B FA 18 00 00 80 31 FE 45 FE 65 49 44 20 2F 20 50 4B 49 03", []int{0, 1}, apdu.Rate{Fi: 372, Di: 12, FMax: 5e6}, 0, apdu.T1Parameters{IFSC: 254, BWI: 4, CWI: 5}, 10},
	{"YubiKey 4", "3B F8 13 00 00 81 31 FE 15 59 75 62 69 6B 65 79 34 D4", []int{1}, apdu.Rate{Fi: 372, Di: 4, FMax: 5e6}, 0, apdu.T1Parameters{IFSC: 254, BWI: 1, CWI: 5}, 8},
	{"YubiKey 5 NFC", "3B FD 13 00 00 81 31 FE 15 80 73 C0 21 C0 57 59 75 62 69 4B 65 79 40", []int{1}, apdu.Rate{Fi: 372, Di: 4, FMax: 5e6}, 0, apdu.T1Parameters{IFSC: 254, BWI: 1, CWI: 5}, 13},
	{"VIVOtech SAM (JCOP v2.4.1)", "3B F8 18 00 FF 81 31 FE 45 4A 43 4F 50 76 32 34 31 43", []int{1}, apdu.Rate{Fi: 372, Di: 12, FMax: 5e6}, 255, apdu.T1Parameters{IFSC: 254, BWI: 4, CWI: 5}, 8},
	{"a.sign RK chip", "3B DF 18 00 81 31 FE 58 80 31 90 52 41 01 64 05 C9 03 AC 73 B7 B1 D4 44", []int{1}, apdu.Rate{Fi: 372, Di: 12, FMax: 5e6}, 0, apdu.T1Parameters{IFSC: 254, BWI: 5, CWI: 8}, 15},
	{"TicTok 2.0", "3B DA 18 FF 81 B1 FE 45 1F C3 54 69 63 54 6F 6B 20 32 2E 30 68", []int{1}, apdu.Rate{Fi: 372, Di: 12, FMax: 5e6}, 255, apdu.T1Parameters{IFSC: 254, BWI: 4, CWI: 5}, 10},
	{"Philips DESFire SAM", "3B D0 A8 FF 81 F1 FB 24 00 1F C3 F4", []int{1}, apdu.Rate{Fi: 768, Di: 12, FMax: 75e5}, 255, apdu.T1Parameters{IFSC: 251, BWI: 2, CWI: 4}, 0},
	{"PIVKey by Taglio", "3B F8 13 00 00 91 81 31 FE 41 00 73 C8 40 00 00 90 00 1E", []int{1}, apdu.Rate{Fi: 372, Di: 4, FMax: 5e6}, 0, apdu.T1Parameters{IFSC: 254, BWI: 4, CWI: 1}, 8},
	{"ISO 14443 type B without historical bytes", "3B 80 80 01 01", []int{0, 1}, apdu.Rate{Fi: 372, Di: 1, FMax: 5e6}, 0, apdu.T1Parameters{IFSC: 32, BWI: 4, CWI: 13}, 0},
	{"NXP MIFARE Classic 1K", "3B 8F 80 01 80 4F 0C A0 00 00 03 06 03 00 01 00 00 00 00 6A", []int{0, 1}, apdu.Rate{Fi: 372, Di: 1, FMax: 5e6}, 0, apdu.T1Parameters{IFSC: 32, BWI: 4, CWI: 13}, 15},
}

func TestFieldATRs(t *testing.T) {
	for _, tt := range fieldATRs {
		t.Run(tt.card, func(t *testing.T) {
			in := unhex(t, tt.atr)
			a, err := apdu.ParseATR(in)
			if err != nil {
				t.Fatal(err)
			}
			if got := a.Protocols(); !slices.Equal(got, tt.protocols) {
				t.Errorf("protocols %v, want %v", got, tt.protocols)
			}
			if got := a.Rate(); got != tt.rate {
				t.Errorf("rate %+v, want %+v", got, tt.rate)
			}
			if got := a.ExtraGuardTime(); got != tt.guard {
				t.Errorf("guard time %d, want %d", got, tt.guard)
			}
			if got := a.T1(); a.Offers(1) && got != tt.t1 {
				t.Errorf("T=1 %+v, want %+v", got, tt.t1)
			}
			if len(a.Historical) != tt.hist {
				t.Errorf("%d historical bytes, want %d", len(a.Historical), tt.hist)
			}
			if got, err := a.Bytes(); err != nil || !bytes.Equal(got, in) {
				t.Errorf("encoded again %X, %v", got, err)
			}
			if got, want := a.String(), strings.ReplaceAll(tt.atr, " ", ""); got != want || !strings.Contains(a.Describe(), want) {
				t.Errorf("String %s, Describe %s", got, a.Describe())
			}
		})
	}
}

func TestATRParameters(t *testing.T) {
	parse := func(s string) apdu.ATR {
		t.Helper()
		a, err := apdu.ParseATR(unhex(t, s))
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	belgian := parse("3B 98 13 40 0A A5 03 01 01 01 AD 13 11")
	if got := belgian.T0WI(); got != 10 {
		t.Errorf("WI %d", got)
	}
	if _, ok := belgian.Specific(); ok || belgian.ClockStop() != apdu.ClockStopNo || belgian.Classes() != apdu.ClassA || belgian.SPU() != 0 {
		t.Error("a default is wrong")
	}
	pivkey := parse("3B F8 13 00 00 91 81 31 FE 41 00 73 C8 40 00 00 90 00 1E")
	if got, ok := pivkey.Specific(); !ok || got != (apdu.SpecificMode{T: 1, Fixed: true}) {
		t.Errorf("specific mode %+v, %v", got, ok)
	}
	usim := parse("3B 9F 96 80 1F C7 80 31 A0 73 BE 21 13 67 43 20 07 18 00 00 01 A5")
	if usim.ClockStop() != apdu.ClockStopAny || usim.Classes() != apdu.ClassA|apdu.ClassB|apdu.ClassC {
		t.Errorf("clock stop %v, classes %b", usim.ClockStop(), usim.Classes())
	}
	sam := parse("3B D0 A8 FF 81 F1 FB 24 00 1F C3 F4")
	if sam.Classes() != apdu.ClassA|apdu.ClassB || sam.T1().CRC {
		t.Errorf("classes %b, %+v", sam.Classes(), sam.T1())
	}
}

// The first TA for T=1 counts, wherever it stands behind TD(2); TC(2) is WI
// whatever TD(1) says.
func TestATRFirstOfItsKind(t *testing.T) {
	a := apdu.ATR{Groups: []apdu.InterfaceGroup{
		{}, {T: 1, TA: apdu.Interface(0x12), TC: apdu.Interface(0x21)},
		{T: 1, TB: apdu.Interface(0x37)},
		{T: 1, TA: apdu.Interface(0x80), TB: apdu.Interface(0x99), TC: apdu.Interface(0x01)},
		{T: 15, TA: apdu.Interface(0x42), TB: apdu.Interface(0x81)},
	}}
	b, err := a.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	if a, err = apdu.ParseATR(b); err != nil {
		t.Fatal(err)
	}
	if got, want := a.T1(), (apdu.T1Parameters{IFSC: 0x80, BWI: 3, CWI: 7, CRC: true}); got != want {
		t.Errorf("T=1 %+v, want %+v", got, want)
	}
	if mode, ok := a.Specific(); !ok || mode != (apdu.SpecificMode{T: 2, Implicit: true}) {
		t.Errorf("specific mode %+v, %v", mode, ok)
	}
	if a.T0WI() != 0x21 || a.ClockStop() != apdu.ClockStopLow || a.Classes() != apdu.ClassB || a.SPU() != 0x81 {
		t.Errorf("WI %d, clock stop %v, classes %b, SPU %02X", a.T0WI(), a.ClockStop(), a.Classes(), a.SPU())
	}
}

func TestParseATRRefuses(t *testing.T) {
	tests := []struct{ name, in, says string }{
		{"nothing", "", "0 bytes"},
		{"TS alone", "3B", "1 bytes"},
		{"too long", "3B" + zeros(33), "34 bytes"},
		{"raw inverse TS", "03 00", "TS is 03"},
		{"before TA(1)", "3B 10", "before TA(1)"},
		{"before TB(1)", "3B 30 11", "before TB(1)"},
		{"before TC(1)", "3B 40", "before TC(1)"},
		{"before TD(1)", "3B 80", "before TD(1)"},
		{"before TB(3)", "3B 80 81 31 FE", "before TB(3)"},
		{"historical cut", "3B 02 14", "announces 2"},
		{"left over", "3B 02 14 50 11", "1 bytes left over"},
		{"TCK with T=0 alone", "3B 80 00 80", "1 bytes left over"},
		{"TCK missing", "3B 80 01", "TCK is missing"},
		{"TCK wrong", "3B 80 80 01 02", "TCK is 02, the other bytes make it 01"},
		{"two TCK", "3B 80 80 01 01 00", "1 bytes left over"},
		{"TD(1) with T=15", "3B 80 1F C7 58", "T=15"},
		{"endless TD", "3B" + strings.Repeat("80", 32), "before TD(32)"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := apdu.ParseATR(unhex(t, tt.in))
			if !errors.Is(err, apdu.ErrMalformed) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("error %v, want one that says %q", err, tt.says)
			}
		})
	}
}

func TestNewATR(t *testing.T) {
	tests := []struct {
		name      string
		protocols []int
		want      string
	}{
		{"default", nil, "3B 02 AABB"},
		{"T=0", []int{0}, "3B 02 AABB"},
		{"T=1", []int{1}, "3B 82 01 AABB 92"},
		{"both", []int{0, 1}, "3B 82 80 01 AABB 12"},
		{"T=15 too", []int{0, 15}, "3B 82 80 0F AABB 1C"},
	}
	for _, tt := range tests {
		got, err := apdu.NewATR([]byte{0xAA, 0xBB}, tt.protocols...).Bytes()
		if err != nil || !bytes.Equal(got, unhex(t, tt.want)) {
			t.Errorf("%s: %X, %v; want %s", tt.name, got, err, tt.want)
		}
		if _, err := apdu.ParseATR(got); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	if got, err := (apdu.ATR{Inverse: true}).Append([]byte{1}); err != nil || !bytes.Equal(got, []byte{1, 0x3F, 0}) {
		t.Errorf("empty: %X, %v", got, err)
	}
}

func TestATRAppendRefuses(t *testing.T) {
	full := apdu.InterfaceGroup{T: 1, TA: apdu.Interface(1), TB: apdu.Interface(1), TC: apdu.Interface(1)}
	for says, a := range map[string]apdu.ATR{
		"16 historical":   {Historical: make([]byte, 16)},
		"T=16":            {Groups: []apdu.InterfaceGroup{{}, {T: 16}}},
		"T=-1":            {Groups: []apdu.InterfaceGroup{{}, {T: -1}}},
		"first group":     {Groups: []apdu.InterfaceGroup{{T: 1}}},
		"T=15":            {Groups: []apdu.InterfaceGroup{{}, {T: 15}}},
		"34 bytes, 33 ar": {Groups: []apdu.InterfaceGroup{{}, full, full, full, full}, Historical: make([]byte, 15), Inverse: true},
	} {
		got, err := a.Append([]byte{1})
		if !errors.Is(err, apdu.ErrMalformed) || !strings.Contains(err.Error(), says) || len(got) != 1 {
			t.Errorf("got %X, %v; want an error that says %q", got, err, says)
		}
		if got := a.String(); !strings.Contains(got, says) {
			t.Errorf("String %q", got)
		}
	}
}

func TestRateTables(t *testing.T) {
	for code, want := range map[byte]apdu.Rate{
		0x01: {Fi: 372, Di: 1, FMax: 4e6}, 0x22: {Fi: 558, Di: 2, FMax: 6e6}, 0x69: {Fi: 1860, Di: 20, FMax: 20e6},
		0x97: {Fi: 512, Di: 64, FMax: 5e6}, 0xD8: {Fi: 2048, Di: 12, FMax: 20e6}, 0x70: {}, 0xFF: {},
	} {
		if got := apdu.ParseRate(code); got != want {
			t.Errorf("%02X: %+v, want %+v", code, got, want)
		}
	}
	if got := apdu.ParseRate(0x70).String(); got != "a reserved code" {
		t.Errorf("got %q", got)
	}
}
