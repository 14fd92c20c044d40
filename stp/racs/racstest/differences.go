package racstest

import (
	"fmt"
	"strings"

	"github.com/cloud-of-se/tses/drivers/driverstest"
)

// A Difference is an answer that is another than the recorded one, on purpose.
type Difference struct {
	Recv   string // '*' stands for words
	Closed bool   // by the server, at the end
	Reason string
}

// Differences are the recorded sessions that come out differently with package
// server, by name and session: "alias/0". What is not here has to come out as
// recorded. The map is the caller's.
func Differences() map[string]Difference {
	return map[string]Difference{
		"alias/0":                     {"BEGIN a\r\n+008 001 *\r\n+008 002 *\r\n+006 003 9000\r\n+006 004 00019000\r\nEND\r\n", false, "an alias is the same SE, and has the application that was selected under its other name"},
		"apdu-1-byte/0":               {"BEGIN a\r\n-506 003 *\r\nEND\r\n", false, "what is no command APDU does not reach the chip"},
		"apdu-cla-0c/0":               {"BEGIN a\r\n+006 002 9000\r\nEND\r\n", false, "the CLA byte is passed through; secure messaging is between user and SE"},
		"apdu-hex-noise/0":            {"BEGIN a\r\n-506 003 *\r\nEND\r\n", false, "hex digits are strict: the author skips what is none"},
		"apdu-no-select/0":            {"BEGIN a\r\n+006 002 00010203040506079000\r\nEND\r\n", false, "a SIM is used without SELECT by AID; only what a security domain acts upon waits for an application"},
		"apdu-off/0":                  {"BEGIN a\r\n-306 001 *\r\nEND\r\n", false, "powered off is class 3, cannot be executed now"},
		"apdu-select-p2/0":            {"BEGIN a\r\n-506 002 *\r\nEND\r\n", false, "its Lc is wrong: it does not reach the chip. Every P2 of SELECT is the card's to judge"},
		"apdu-takes-lock/0":           {"BEGIN t\r\n-306 001 *\r\nEND\r\n", false, "powered off is class 3"},
		"apdu-takes-lock/1":           {"BEGIN t\r\n+008 001 *\r\nEND\r\n", false, "an APDU to an SE that is off takes no lock"},
		"append-memory/0":             {appendMemory(), false, "an answer may have 1 MiB; the author runs out of memory in line 16"},
		"byte-by-byte/0":              {"BEGIN a\r\n+001 000 *\r\nEND\r\n", false, "a line may arrive split over any number of records"},
		"continue-lowercase/0":        {"BEGIN a\r\n-406 003 *\r\nEND\r\n", false, "an unknown option is an error"},
		"continue-no-equal/0":         {"BEGIN a\r\n-506 003 *\r\nEND\r\n", false, "a malformed option is an error"},
		"continue-twice/0":            {"BEGIN a\r\n-506 003 *\r\nEND\r\n", false, "a repeated option is an error"},
		"crlf-blank-inside/0":         {"BEGIN a\r\n+002 001 0.3\r\nEND\r\n", false, "blank lines are ignored"},
		"flush-blank/0":               {"BEGIN a\r\n-408 001 *\r\nEND\r\nBEGIN t\r\n+009 001 ok\r\nEND\r\n", false, "blank lines are ignored"},
		"flush-then-ok/0":             {"BEGIN a\r\n-403 001 *\r\nEND\r\nBEGIN b\r\n+002 001 0.3\r\nEND\r\n", false, "the code of SET-VERSION is 03"},
		"in-use/1":                    {"BEGIN t\r\n-708 001 *\r\nEND\r\nBEGIN t\r\n-706 001 *\r\nEND\r\nBEGIN t\r\n-705 001 *\r\nEND\r\nBEGIN t\r\n-211 001 *\r\nEND\r\n", false, "GET-SEN is not implemented"},
		"lf-blank-first/0":            {"BEGIN a\r\n+001 000 *\r\nEND\r\n", false, "blank lines are ignored"},
		"list-admin-all/0":            {"BEGIN a\r\n+004 001 0 1 2 3 4 5 6 7 8 9 999 \r\nEND\r\n", false, "an administrator's list is not empty"},
		"missing-begin/0":             {"BEGIN \r\n-300 000 *\r\nEND\r\n", true, "a name-less answer has its space"},
		"more-overflow/0":             {"BEGIN a\r\n+006 003 " + patternHex(5000) + "9000\r\nEND\r\n", false, "MORE joins up to 65,536 bytes"},
		"nul-first/0":                 {"BEGIN \r\n-300 000 *\r\nEND\r\n", true, "a line outside of a request is answered before the connection closes"},
		"partial-line-3/0":            {"BEGIN abcdef\r\n+002 001 0.3\r\nEND\r\n", false, "a line may arrive split over any number of records"},
		"reset-off-locks/0":           {"BEGIN t\r\n-305 001 *\r\nEND\r\n", false, "powered off is class 3"},
		"reset-off-locks/1":           {"BEGIN t\r\n+008 001 *\r\nEND\r\n", false, "RESET of an SE that is off takes no lock"},
		"set-version/0":               {"BEGIN a\r\n+003 001 *\r\nEND\r\n", false, "the code of SET-VERSION is 03"},
		"set-version-missing/0":       {"BEGIN a\r\n-503 001 *\r\nEND\r\n", false, "the code of SET-VERSION is 03"},
		"shutdown-by-other/0":         {"BEGIN t\r\n+006 002 9000\r\nEND\r\nBEGIN t\r\n+006 001 9000\r\nEND\r\n", false, "nobody powers off another's SE"},
		"shutdown-by-other/1":         {"BEGIN t\r\n-707 001 *\r\nEND\r\nBEGIN t\r\n-708 001 *\r\nEND\r\n", false, "nobody powers off another's SE"},
		"spaces-line-inside/0":        {"BEGIN a\r\n+002 001 0.3\r\nEND\r\n", false, "blank lines are ignored"},
		"tabs/0":                      {"BEGIN \r\n-300 000 *\r\nEND\r\n", true, "a name-less answer has its space"},
		"unknown-after-good/0":        {"BEGIN a\r\n-100 003 *\r\nEND\r\n", false, "an unknown command is class 1 and the connection stays"},
		"unknown-command-lowercase/0": {"BEGIN a\r\n-100 001 *\r\nEND\r\n", false, "an unknown command is class 1 and the connection stays"},
	}
}

// appendMemory is twenty answers of 256 bytes.
func appendMemory() string {
	var b strings.Builder
	b.WriteString("BEGIN a\r\n")
	for line := 3; line < 23; line++ {
		fmt.Fprintf(&b, "+006 %03d %s9000\r\n", line, patternHex(256))
	}
	b.WriteString("END\r\n")
	return b.String()
}

func patternHex(n int) string { return fmt.Sprintf("%X", driverstest.Pattern(n)) }
