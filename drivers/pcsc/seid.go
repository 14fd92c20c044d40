package pcsc

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"
)

// slugBytes is how much of the reader's name a SEID shows. With the hash a
// SEID has at most 41 bytes.
const slugBytes = 32

// index is what pcscd adds to a reader's name: in which order it was plugged
// in, and the slot.
var index = regexp.MustCompile(` [0-9A-F]{2} ([0-9A-F]{2})$`)

// SEID derives the SEID of a card that was found in a reader: the reader's
// name in lower case, and eight hex digits of a SHA-256 over the name, the slot
// and the answer to reset. pcscd's number of the reader is left out, so the
// SEID stays when readers are plugged in another order. Two readers of one
// model without serial numbers, with cards of one kind, have the same.
func SEID(reader string, atr []byte) string {
	model, slot := reader, ""
	if at := index.FindStringSubmatchIndex(reader); at != nil {
		model, slot = reader[:at[0]], reader[at[2]:at[3]]
	}
	hash := sha256.New()
	hash.Write([]byte(model + "\x00" + slot + "\x00"))
	hash.Write(atr)
	name := slug(model)
	if name == "" {
		name = "reader"
	}
	return name + "-" + hex.EncodeToString(hash.Sum(nil)[:4])
}

// slug keeps letters and digits, and puts one '-' for what is between them.
func slug(s string) string {
	var b strings.Builder
	gap := false
	for _, r := range strings.ToLower(s) {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') {
			gap = b.Len() > 0
			continue
		}
		if b.Len()+2 > slugBytes {
			break
		}
		if gap {
			b.WriteByte('-')
			gap = false
		}
		b.WriteRune(r)
	}
	return b.String()
}
