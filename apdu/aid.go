package apdu

import (
	"encoding/hex"
	"fmt"
	"strings"
)

// AID is an application identifier, 5 to 16 bytes of which the first 5 are
// the registered provider's RID (ISO/IEC 7816-4, 12.3.4), held as a string of
// those bytes so that it can be compared and be the key of a map. A partial
// AID, as SELECT may carry, can be shorter.
type AID string

// ParseAID reads an AID of 5 to 16 bytes in hex digits of either case.
func ParseAID(s string) (AID, error) {
	b, err := hex.DecodeString(s)
	if err != nil {
		return "", fmt.Errorf("AID %q: %w", s, err)
	}
	if len(b) < 5 || len(b) > 16 {
		return "", fmt.Errorf("AID %q: %d bytes, an AID has 5 to 16", s, len(b))
	}
	return AID(b), nil
}

// MustAID is [ParseAID] for constants in code; it panics on an error.
func MustAID(s string) AID {
	aid, err := ParseAID(s)
	if err != nil {
		panic(err)
	}
	return aid
}

// Matches tells whether SELECT with the partial AID p means this application:
// p is its beginning, or all of it.
func (a AID) Matches(p AID) bool { return strings.HasPrefix(string(a), string(p)) }

// String is the AID in upper-case hex digits.
func (a AID) String() string { return strings.ToUpper(hex.EncodeToString([]byte(a))) }
