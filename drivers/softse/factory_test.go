package softse

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/cloud-of-se/tses/drivers/softse/internal/offcard"
)

// putAs puts a key set as GlobalPlatformPro does: P1 is its version where it
// replaces one, and 00 where the session's keys are the factory's (set FF, that
// PUT KEY cannot name) or the domain has none.
func putAs(a *admin, p1 string, keys offcard.Keys) string {
	a.t.Helper()
	return a.do("80D8"+p1+"81", hex.EncodeToString(a.h.PutKey(keys)))
}

// TestLockAndUnlock is what "gp --lock KEY" and "gp --unlock" send to a fresh
// card (GPTool.java and GPSession.putKeys of GlobalPlatformPro, commit 0a0596b):
// the first replaces the factory's set by version 01, the second puts the test
// keys into version 01.
func TestLockAndUnlock(t *testing.T) {
	store := &memory{}
	c := newCard(t, testOpts(store))
	a := dialISD(t, c)
	a.expect("80CA00E0", "", "E012C00401FF8810C00402FF8810C00403FF88109000")
	mine := keysOf(1, 16)
	if got := putAs(a, "00", mine); !strings.HasPrefix(got, "01") || !strings.HasSuffix(got, "9000") {
		t.Fatalf("gp --lock: %s", got)
	}
	run1(t, c, []step{{"8050FF00080102030405060708", "6A88"}}) // the known keys are gone

	c = newCard(t, testOpts(store))
	a = dial(t, c, isdAID, mine, 16, 0x33)
	a.expect("80CA00E0", "", "E012C00401018810C00402018810C004030188109000")
	known := offcard.TestKeys()
	known.Version = 1
	if got := putAs(a, "01", known); !strings.HasSuffix(got, "9000") {
		t.Fatalf("gp --unlock: %s", got)
	}
	a = dial(t, c, isdAID, known, 8, 0x01)
	a.expect("80CA00E0", "", "E012C00401018810C00402018810C004030188109000")
}

// What cannot be done with the factory's set.
func TestFactoryKeys(t *testing.T) {
	store := &memory{}
	c := newCard(t, testOpts(store))
	a := dialISD(t, c)
	one := hex.EncodeToString(append([]byte{0xFF}, a.h.KeyField(keysOf(1, 16).ENC)...))
	for _, tt := range []struct{ name, got, want string }{
		{"name it in P1", putAs(a, "FF", keysOf(0xFF, 16)), "6A86"},
		{"put it", putAs(a, "00", keysOf(0xFF, 16)), "6A80"},
		{"one key of it", a.do("80D8FF01", one), "6A86"},
		{"delete it", a.do("80E40000", "D201FF"), "6985"}, // the last one
		{"replace what is not there", putAs(a, "01", keysOf(1, 16)), "6A88"},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, tt.got, tt.want)
		}
	}
	store.fail = errDiskFull
	if got := putAs(a, "00", keysOf(1, 16)); got != "6581" {
		t.Errorf("a store that fails: %s", got)
	}
	store.fail = nil
	a = dialISD(t, c) // still there
	if got := putAs(a, "00", keysOf(0x7F, 32)); !strings.HasSuffix(got, "9000") {
		t.Fatal(got)
	}
	a = dial(t, c, isdAID, keysOf(0x7F, 32), 8, 0x33)
	if got := putAs(a, "00", keysOf(2, 16)); !strings.HasSuffix(got, "9000") {
		t.Fatal(got)
	}
	a.expect("80CA00E0", "", "E024C004017F8820C004027F8820C004037F8820C00401028810C00402028810C004030288109000")
}
