package vault

import (
	"fmt"
	"strings"
)

// maxName is the longest SEID in bytes.
const maxName = 64

const (
	stateSuffix = ".state"
	tempSuffix  = ".tmp"
	lockSuffix  = ".lock" // after the name of the file that it is for
	ledgerName  = "ledger"
)

// checkName refuses a SEID that could leave the directory, or mean another
// file on another file system. The suffixes keep the rest apart: no SEID makes
// the name of a ledger, a lock or a temporary file.
func checkName(seid string) error {
	if len(seid) < 1 || len(seid) > maxName || strings.IndexFunc(seid, notInName) >= 0 {
		return fmt.Errorf("vault: SEID %.80q: %w: use 1 to %d of A-Z a-z 0-9 . _ -", seid, ErrName, maxName)
	}
	return nil
}

func notInName(r rune) bool {
	switch {
	case r >= 'A' && r <= 'Z', r >= 'a' && r <= 'z', r >= '0' && r <= '9':
		return false
	}
	return r != '.' && r != '_' && r != '-'
}
