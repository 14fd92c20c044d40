package apdu_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/cloud-of-se/tses/apdu"
)

func TestReadTLV(t *testing.T) {
	tests := []struct {
		in    string
		tag   apdu.Tag
		n     int
		rest  int
		short bool // the length field is the shortest
	}{
		{"84 00", 0x84, 0, 0, true},
		{"84 02 AABB CC", 0x84, 2, 1, true},
		{"9F7F 01 AA", 0x9F7F, 1, 0, true},
		{"5FC105 01 AA", 0x5FC105, 1, 0, true},
		{"53 7F" + zeros(127), 0x53, 127, 0, true},
		{"53 81 80" + zeros(128), 0x53, 128, 0, true},
		{"53 81 FF" + zeros(255), 0x53, 255, 0, true},
		{"53 82 0100" + zeros(256), 0x53, 256, 0, true},
		{"53 82 FFFF" + zeros(65535), 0x53, 65535, 0, true},
		{"53 83 010000" + zeros(65536), 0x53, 65536, 0, true},
		{"53 81 01 AA", 0x53, 1, 0, false},
		{"53 83 000001 AA", 0x53, 1, 0, false},
	}
	for _, tt := range tests {
		in := unhex(t, tt.in)
		got, rest, err := apdu.ReadTLV(in)
		if err != nil || got.Tag != tt.tag || len(got.Value) != tt.n || len(rest) != tt.rest {
			t.Errorf("%.30s: tag %X, %d bytes, rest %d, %v", tt.in, uint32(got.Tag), len(got.Value), len(rest), err)
			continue
		}
		whole := in[:len(in)-len(rest)]
		if again := apdu.AppendTLV(nil, got.Tag, got.Value); bytes.Equal(again, whole) != tt.short {
			t.Errorf("%.30s: encoded again %.30X", tt.in, again)
		}
	}
}

func TestReadTLVRefuses(t *testing.T) {
	for in, says := range map[string]string{
		"":             "no tag",
		"84":           "no length",
		"9F":           "does not end",
		"5FC1":         "does not end",
		"5FC18101 00":  "within 3 bytes",
		"84 02 AA":     "announces 2 bytes, 1 are there",
		"84 80 AA":     "length field 80",
		"84 81":        "cut",
		"84 82 01":     "cut",
		"84 84 000000": "length field 84",
	} {
		_, _, err := apdu.ReadTLV(unhex(t, in))
		if !errors.Is(err, apdu.ErrMalformed) || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want an error that says %q", in, err, says)
		}
	}
}

func TestTLVTree(t *testing.T) {
	inner := apdu.AppendTLV(nil, 0x84, []byte{0xA0, 0}, []byte{0, 3})
	inner = apdu.AppendTLV(inner, 0xA5, apdu.AppendTLV(nil, 0x9F65, []byte{0xFF}))
	tree := apdu.AppendTLV(nil, 0x6F, inner)
	if want := unhex(t, "6F0C 8404A0000003 A504 9F6501FF"); !bytes.Equal(tree, want) {
		t.Fatalf("got %X, want %X", tree, want)
	}
	all, err := apdu.ParseTLVs(inner)
	if err != nil || len(all) != 2 || all[0].Tag != 0x84 || all[1].Tag != 0xA5 {
		t.Errorf("got %v, %v", all, err)
	}
	if _, err := apdu.ParseTLVs(inner[:len(inner)-1]); !errors.Is(err, apdu.ErrMalformed) {
		t.Errorf("cut: %v", err)
	}
	tests := []struct {
		path []apdu.Tag
		want string
		ok   bool
	}{
		{nil, "6F0C 8404A0000003 A504 9F6501FF", true},
		{[]apdu.Tag{0x6F, 0x84}, "A0000003", true},
		{[]apdu.Tag{0x6F, 0xA5, 0x9F65}, "FF", true},
		{[]apdu.Tag{0x84}, "", false},
		{[]apdu.Tag{0x6F, 0x85}, "", false},
	}
	for _, tt := range tests {
		if got, ok := apdu.FindTLV(tree, tt.path...); ok != tt.ok || !bytes.Equal(got, unhex(t, tt.want)) {
			t.Errorf("%X: got %X, %v", tt.path, got, ok)
		}
	}
	if _, ok := apdu.FindTLV(tree[:5], 0x6F); ok {
		t.Error("found in a cut object")
	}
	for tag, want := range map[apdu.Tag]bool{0x6F: true, 0x84: false, 0x7F49: true, 0x9F7F: false, 0x5FC105: false, 0xBF0C: true} {
		if tag.Constructed() != want {
			t.Errorf("%X constructed: %v", uint32(tag), !want)
		}
	}
}
