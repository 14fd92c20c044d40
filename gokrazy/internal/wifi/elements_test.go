package wifi

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// element makes one of its parts.
func element(id byte, parts ...[]byte) []byte {
	body := join(parts...)
	return append([]byte{id, byte(len(body))}, body...)
}

// rsnOf is an RSN element with one of everything.
func rsnOf(group, pairwise, akm byte, caps byte) []byte {
	oui := []byte{0, 0x0F, 0xAC}
	return element(elementRSN, []byte{1, 0}, oui, []byte{group}, []byte{1, 0}, oui, []byte{pairwise}, []byte{1, 0}, oui, []byte{akm}, []byte{caps, 0})
}

func TestParseRSN(t *testing.T) {
	whole := rsnOf(4, 4, 2, 0x80)
	for _, tt := range []struct {
		name    string
		element []byte
		want    rsn
		fine    bool
	}{
		{"whole", whole, rsn{cipherCCMP, []suite{cipherCCMP}, []suite{akmPSK}, 0x80}, true},
		{"own", ownRSN(), rsn{cipherCCMP, []suite{cipherCCMP}, []suite{akmPSK}, 0}, true},
		{"with PMKIDs", element(elementRSN, whole[2:], []byte{0, 0}), rsn{cipherCCMP, []suite{cipherCCMP}, []suite{akmPSK}, 0x80}, true},
		{"version alone", element(elementRSN, []byte{1, 0}), rsn{cipherCCMP, []suite{cipherCCMP}, []suite{akm8021X}, 0}, true},
		{"group alone", element(elementRSN, []byte{1, 0, 0, 0x0F, 0xAC, 2}), rsn{cipherTKIP, []suite{cipherCCMP}, []suite{akm8021X}, 0}, true},
		{"no capabilities", element(elementRSN, whole[2:20]), rsn{cipherCCMP, []suite{cipherCCMP}, []suite{akmPSK}, 0}, true},
		{"version 2", element(elementRSN, []byte{2, 0}), rsn{}, false},
		{"empty", element(elementRSN), rsn{}, false},
		{"another element", element(elementSSID, whole[2:]), rsn{}, false},
		{"wrong length", append(slices.Clone(whole), 0), rsn{}, false},
		{"half a group", element(elementRSN, []byte{1, 0, 0, 0x0F}), rsn{}, false},
		{"half a count", element(elementRSN, whole[2:9]), rsn{}, false},
		{"too many", element(elementRSN, []byte{1, 0, 0, 0x0F, 0xAC, 4, 0xFF, 0xFF, 0, 0x0F, 0xAC, 4}), rsn{}, false},
		{"half of capabilities", element(elementRSN, whole[2:21]), rsn{}, false},
	} {
		got, err := parseRSN(tt.element)
		if (err == nil) != tt.fine || got.group != tt.want.group || got.caps != tt.want.caps ||
			!slices.Equal(got.pairwise, tt.want.pairwise) || !slices.Equal(got.akms, tt.want.akms) {
			t.Errorf("%s: got %+v, %v; want %+v", tt.name, got, err, tt.want)
		}
		if err != nil && !errors.Is(err, errRSN) {
			t.Errorf("%s: error %v is no %v", tt.name, err, errRSN)
		}
	}
}

func TestChoose(t *testing.T) {
	good := rsnOf(4, 4, 2, 0)
	for _, tt := range []struct {
		name string
		open bool
		ap   bss
		want error
	}{
		{"WPA2", false, bss{rsn: good, privacy: true}, nil},
		{"WPA2 with PMF optional", false, bss{rsn: rsnOf(4, 4, 2, 0x80), privacy: true}, nil},
		{"WPA and WPA2, CCMP", false, bss{rsn: good, wpa1: true, privacy: true}, nil},
		{"WPA3", false, bss{rsn: rsnOf(4, 4, 8, 0xC0), privacy: true}, ErrWPA3Only},
		{"PMF required", false, bss{rsn: rsnOf(4, 4, 2, 0xC0), privacy: true}, ErrPMFRequired},
		{"TKIP for groups", false, bss{rsn: rsnOf(2, 4, 2, 0), privacy: true}, ErrTKIP},
		{"TKIP for pairs", false, bss{rsn: rsnOf(4, 2, 2, 0), privacy: true}, ErrTKIP},
		{"WPA's first version", false, bss{wpa1: true, privacy: true}, ErrTKIP},
		{"GCMP for groups", false, bss{rsn: rsnOf(8, 4, 2, 0), privacy: true}, ErrUnsupported},
		{"GCMP for pairs", false, bss{rsn: rsnOf(4, 8, 2, 0), privacy: true}, ErrUnsupported},
		{"enterprise", false, bss{rsn: rsnOf(4, 4, 1, 0), privacy: true}, ErrUnsupported},
		{"PSK with SHA-256 alone", false, bss{rsn: rsnOf(4, 4, 6, 0), privacy: true}, ErrUnsupported},
		{"malformed", false, bss{rsn: []byte{48, 0}, privacy: true}, ErrUnsupported},
		{"WEP", false, bss{privacy: true}, ErrUnsupported},
		{"open", false, bss{}, ErrOpen},
		{"open, as wanted", true, bss{}, nil},
		{"WPA2, open wanted", true, bss{rsn: good, privacy: true}, ErrNotOpen},
		{"WEP, open wanted", true, bss{privacy: true}, ErrNotOpen},
	} {
		tt.ap.ssid = "net"
		got, err := choose([]bss{{ssid: "other", rsn: good, signal: -1000}, tt.ap}, Network{SSID: "net", Open: tt.open})
		if !errors.Is(err, tt.want) || (got != nil) != (tt.want == nil) {
			t.Errorf("%s: %v, %v; want %v", tt.name, got, err, tt.want)
		}
	}
}

func TestChooseStrongest(t *testing.T) {
	good, bad := rsnOf(4, 4, 2, 0), rsnOf(2, 2, 2, 0)
	heard := []bss{
		{ssid: "net", signal: -8000, rsn: good, address: address{1}},
		{ssid: "net", signal: -5000, rsn: good, address: address{2}},
		{ssid: "net", signal: -3000, rsn: bad, address: address{3}},
	}
	if got, err := choose(heard, Network{SSID: "net"}); err != nil || got.address != (address{2}) {
		t.Errorf("got %v, %v; want the strongest that suits", got, err)
	}
}

func TestNotHeard(t *testing.T) {
	var heard []bss
	for i := range 30 {
		heard = append(heard, bss{ssid: strings.Repeat("\x1b[2J", 1+i%20), signal: int32(-i)})
	}
	heard = append(heard, bss{}, bss{ssid: "\x00\x00"})
	_, err := choose(heard, Network{SSID: "net"})
	if !errors.Is(err, ErrNotHeard) {
		t.Fatal(err)
	}
	if text := err.Error(); strings.ContainsRune(text, 0x1b) || len(text) > 2000 || strings.Count(text, `\x1b[2J"`) != maxNamed || !strings.Contains(text, "more]") {
		t.Errorf("%d bytes: %s", len(text), text)
	}
	if _, err := choose(nil, Network{SSID: "net"}); !errors.Is(err, ErrNotHeard) {
		t.Error(err)
	}
}

func FuzzRSN(f *testing.F) {
	f.Add(rsnOf(4, 4, 2, 0))
	f.Add(ownRSN())
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parseRSN(b)
		if err == nil && len(r.akms)+len(r.pairwise) > 128 {
			t.Errorf("%d suites in %d bytes", len(r.akms)+len(r.pairwise), len(b))
		}
		if err == nil {
			_ = r.suits("net")
		}
	})
}

func FuzzElements(f *testing.F) {
	f.Add(join(element(elementSSID, []byte("net")), rsnOf(4, 4, 2, 0), element(elementVendor, []byte{0, 0x50, 0xF2, 1})))
	f.Fuzz(func(t *testing.T, b []byte) {
		var ap bss
		ap.readElements(b)
		if len(ap.ssid) > maxSSID || len(ap.rsn) > 257 || len(ap.rsnx) > 257 {
			t.Errorf("%+v", ap)
		}
		_ = ap.suits(false)
		_ = ap.suits(true)
	})
}
