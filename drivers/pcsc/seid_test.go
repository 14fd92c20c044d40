package pcsc

import (
	"regexp"
	"testing"

	"pgregory.net/rapid"
)

func TestSEID(t *testing.T) {
	sim, token := []byte{0x3B, 0x9F, 0x01}, []byte{0x3B, 0xF8, 0x13}
	same := [][2]string{
		{SEID("ACS ACR39U [CCID] (12345) 00 00", sim), SEID("ACS ACR39U [CCID] (12345) 03 00", sim)},
		{SEID("ACS ACR39U 00 00", sim), SEID("ACS ACR39U 0F 00", sim)},
	}
	for _, s := range same {
		if s[0] != s[1] {
			t.Errorf("%s and %s differ by pcscd's number alone", s[0], s[1])
		}
	}
	seen := map[string]bool{}
	for _, seid := range []string{
		SEID("ACS ACR39U 00 00", sim),
		SEID("ACS ACR39U 00 01", sim),           // another slot
		SEID("ACS ACR39U 00 00", token),         // another card
		SEID("ACS ACR39U (12345) 00 00", sim),   // a reader with a serial number
		SEID("ACS ACR39U (12346) 00 00", sim),   // another serial number
		SEID("ACS  ACR39U 00 00", sim),          // the same slug
		SEID("ACS ACR39U", sim),                 // no pcscd names it so
		SEID("\u8aad\u53d6\u6a5f 00 00", sim),   // nothing to show
		SEID("\u8aad\u53d6\u6a5f 2 00 00", sim), // one digit to show
	} {
		if seen[seid] {
			t.Errorf("%s stands for two", seid)
		}
		seen[seid] = true
	}
	if got, want := SEID("ACS ACR39U ICC Reader 00 00", sim), regexp.MustCompile(`^acs-acr39u-icc-reader-[0-9a-f]{8}$`); !want.MatchString(got) {
		t.Errorf("got %s, want %s", got, want)
	}
}

// Whatever a reader is called, its SEID is one: 1 to 63 letters, digits and '-'.
func TestSEIDsAreValid(t *testing.T) {
	valid := regexp.MustCompile(`^[a-z0-9](-?[a-z0-9]){0,40}$`)
	rapid.Check(t, func(t *rapid.T) {
		reader := rapid.OneOf(rapid.String(), rapid.StringMatching(`[A-Za-z \[\]()0-9_./-]{0,127}`)).Draw(t, "reader")
		if got := SEID(reader, rapid.SliceOfN(rapid.Byte(), 0, 33).Draw(t, "atr")); !valid.MatchString(got) {
			t.Fatalf("%q: %q", reader, got)
		}
	})
}
