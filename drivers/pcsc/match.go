package pcsc

import (
	"errors"
	"fmt"
	"strings"
)

// Match says which reader, and which card in it, an SE is. In both globs '*'
// stands for any string and '?' for any one character, and case does not
// count. The zero value fits nothing.
type Match struct {
	// Reader is a glob for the reader's name as pcscd gives it. The two hex
	// numbers at its end are the order of plugging in and the slot; a glob that
	// is to stay has "?? 00" or '*' for the first.
	Reader string

	// ATR is a glob for the card's answer to reset in hex.
	ATR string
}

// ErrNoMatch says that a [Match] has neither a reader nor an ATR.
var ErrNoMatch = errors.New("neither a reader nor an ATR; give one of them, or both, as a glob")

// Check tells why a match cannot fit any reader.
func (m Match) Check() error {
	if m.Reader == "" && m.ATR == "" {
		return ErrNoMatch
	}
	if i := strings.IndexFunc(m.ATR, notHexGlob); i >= 0 {
		return fmt.Errorf("ATR %q: %q is neither a hex digit nor '*' nor '?'", m.ATR, m.ATR[i])
	}
	return nil
}

func notHexGlob(r rune) bool { return !strings.ContainsRune("0123456789abcdefABCDEF*?", r) }

// Fits tells whether a reader is meant, with the card that answered atr; nil is
// an empty reader, which no match with an ATR fits.
func (m Match) Fits(reader string, atr []byte) bool {
	if m.Check() != nil || m.ATR != "" && len(atr) == 0 {
		return false
	}
	return (m.Reader == "" || glob(m.Reader, reader)) && (m.ATR == "" || glob(m.ATR, fmt.Sprintf("%X", atr)))
}

// String is `reader "ACS*", ATR "3B*"`.
func (m Match) String() string {
	var parts []string
	if m.Reader != "" {
		parts = append(parts, fmt.Sprintf("reader %q", m.Reader))
	}
	if m.ATR != "" {
		parts = append(parts, fmt.Sprintf("ATR %q", m.ATR))
	}
	return strings.Join(parts, ", ")
}

// glob matches with '*' and '?' alone: the names of readers have brackets. It
// takes at most len(pattern) times len(s) steps.
func glob(pattern, s string) bool {
	pattern, s = strings.ToLower(pattern), strings.ToLower(s)
	p, i := 0, 0
	star, from := -1, 0 // the last '*', and where what it stands for ends
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, from = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			p++
			i++
		case star >= 0:
			from++
			p, i = star+1, from
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
