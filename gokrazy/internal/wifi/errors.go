package wifi

import (
	"errors"
	"fmt"
)

// Why a network is not, or not any more, joined. What a person can change comes
// first.
var (
	ErrNotHeard    = errors.New("Wi-Fi network is not heard")
	ErrPassphrase  = errors.New("Wi-Fi passphrase is not accepted")
	ErrOpen        = errors.New("Wi-Fi network is open, and a passphrase is given")
	ErrNotOpen     = errors.New("Wi-Fi network is not open, and no passphrase is given")
	ErrWPA3Only    = errors.New("Wi-Fi network wants WPA3")
	ErrPMFRequired = errors.New("Wi-Fi network wants protected management frames")
	ErrTKIP        = errors.New("Wi-Fi network has the cipher TKIP, which is broken")
	ErrUnsupported = errors.New("Wi-Fi network wants what is not supported here")
	ErrBlocked     = errors.New("Wi-Fi radio is switched off")
	ErrNoInterface = errors.New("no Wi-Fi interface")
	ErrNoDrivers   = errors.New("no Wi-Fi drivers")

	ErrRefused = errors.New("Wi-Fi access point does not let the box in")
	ErrLost    = errors.New("Wi-Fi connection is lost")
)

// reasons are those of a lost connection (IEEE Std 802.11-2020, table 9-49),
// as far as they say something.
var reasons = map[uint16]string{
	0:  "no reason given",
	1:  "no reason given",
	2:  "the authentication is not valid any more",
	3:  "the access point or this box leaves",
	4:  "nothing was heard for too long",
	5:  "the access point has too many stations",
	6:  "the access point does not know this box any more",
	7:  "the access point does not know this box any more",
	8:  "the access point or this box leaves",
	9:  "the box was not authenticated",
	13: "invalid element",
	14: "message integrity check failed",
	15: "the 4-way handshake was not finished in time",
	16: "the group key handshake was not finished in time",
	17: "elements of the 4-way handshake differ from those sent before",
	18: "invalid group cipher",
	19: "invalid pairwise cipher",
	20: "invalid key management",
	21: "unsupported version of RSN",
	22: "invalid capabilities of RSN",
	23: "IEEE 802.1X authentication failed",
	24: "the cipher is refused by policy",
	34: "too many frames were not acknowledged",
	36: "the access point or this box leaves",
	45: "the access point does not answer",
}

// statuses are those of a refused association (IEEE Std 802.11-2020, table
// 9-50), as far as they say something.
var statuses = map[uint16]string{
	1:  "no reason given",
	10: "it does not support all of its capabilities",
	12: "it is not allowed by what the access point knows; is this box's address let in?",
	13: "it does not support the authentication",
	15: "challenge failed",
	16: "it took too long",
	17: "it has too many stations; try later or nearer to another",
	18: "it wants data rates that the box has not",
	30: "try again later",
	31: "it wants protected management frames",
	37: "it has refused",
	40: "invalid element",
	41: "invalid group cipher",
	42: "invalid pairwise cipher",
	43: "invalid key management",
	44: "unsupported version of RSN",
	45: "invalid capabilities of RSN",
	46: "the cipher is refused by policy",
	53: "invalid cached key",
	82: "it refuses now that it has too many stations",
}

// say is a code with what it means.
func say(words map[uint16]string, code uint16) string {
	text, ok := words[code]
	if !ok {
		text = "unknown"
	}
	return fmt.Sprintf("%s (code %d)", text, code)
}
