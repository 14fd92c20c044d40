package racs_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cloud-of-se/tses/stp/racs"
)

func TestExpandList(t *testing.T) {
	for text, want := range map[string]string{
		"":                        "",
		"soft1 soft2 ":            "soft1 soft2",
		"Serial[567;789]":         "Serial567 Serial789", // the draft's
		"Device[8-11] x":          "Device8 Device9 Device10 Device11 x",
		"a[1;3-5;9]b":             "a1b a3b a4b a5b a9b",
		"a[007-011]":              "a007 a008 a009 a010 a011",
		"a[00]":                   "a00",
		"a[7-7]":                  "a7",
		"a[18446744073709551615]": "a18446744073709551615",
		"a[18446744073709551614-18446744073709551615]": "a18446744073709551614 a18446744073709551615",
	} {
		got, err := racs.ExpandList(text)
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%q: got %q, %v; want %q", text, got, err, want)
		}
	}
	// What the draft has no form for is a name.
	for _, word := range []string{
		"[1-2]", "a[", "a]", "a[]", "a[1", "a[1-]", "a[-1]", "a[2-1]", "a[1;]", "a[1-2-3]", "a[1][2]", "a[x]", "a[+1]", "a[1]]",
		"a[99999999999999999999]", "a[1-99999999999999999999]", "Device[1.5]",
	} {
		if got, err := racs.ExpandList(word); err != nil || len(got) != 1 || got[0] != word {
			t.Errorf("%q: got %q, %v; want it as it is", word, got, err)
		}
	}
}

// A few bytes cannot fill the memory.
func TestExpandListBounds(t *testing.T) {
	most, err := racs.ExpandList(fmt.Sprintf("a[1-%d]", racs.MaxListed))
	if err != nil || len(most) != racs.MaxListed {
		t.Errorf("%d SEIDs, %v; want %d", len(most), err, racs.MaxListed)
	}
	for name, text := range map[string]string{
		"one more":      fmt.Sprintf("a[1-%d]", racs.MaxListed+1),
		"in two words":  fmt.Sprintf("a[1-%d] b", racs.MaxListed),
		"without end":   "a[0-18446744073709551615]",
		"long names":    strings.Repeat("a", 1000) + "[1-2000]",
		"many ranges":   "a[" + strings.Repeat("1-60000;", 100) + "1]",
		"long behind":   "a[1-60000]" + strings.Repeat("b", 100),
		"long by zeros": "a[" + strings.Repeat("0", 1000) + "-9999]",
	} {
		if got, err := racs.ExpandList(text); !errors.Is(err, racs.ErrNotRACS) || got != nil || len(err.Error()) > 300 {
			t.Errorf("%s: %d SEIDs, %.400v", name, len(got), err)
		}
	}
}

// TestListIsExpanded: the client does it.
func TestListIsExpanded(t *testing.T) {
	client, server := newFake(t, racs.Options{})
	go server.answer("+004 001 Device[1000-1002] Serial[567;789] soft1 ")
	got, err := client.List(t.Context())
	if diff := cmp.Diff([]string{"Device1000", "Device1001", "Device1002", "Serial567", "Serial789", "soft1"}, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	go server.answer("+004 001 Device[0-18446744073709551615]")
	if _, err := client.List(t.Context()); !errors.Is(err, racs.ErrNotRACS) {
		t.Errorf("a list without end: %v", err)
	}
}

func FuzzExpandList(f *testing.F) {
	for _, seed := range []string{"Device[1000-2000]", "Serial[567;789]", "a[007-011]b c", "a[0-18446744073709551615]", "[[]];-"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := racs.ExpandList(text)
		size := 0
		for _, seid := range got {
			if size += len(seid); seid == "" || strings.ContainsAny(seid, " \t\r\n") {
				t.Fatalf("%q gives %q", text, seid)
			}
		}
		if (got == nil) != (err != nil) || len(got) > racs.MaxListed || size > racs.MaxListedBytes {
			t.Fatalf("%d SEIDs of %d bytes, %v", len(got), size, err)
		}
		if !strings.Contains(text, "[") && err == nil && strings.Join(got, " ") != strings.Join(strings.Fields(text), " ") {
			t.Fatalf("%q without brackets gives %q", text, got)
		}
	})
}
