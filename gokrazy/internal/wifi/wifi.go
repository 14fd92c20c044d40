// Package wifi joins a Wi-Fi network: WPA2-Personal with CCMP, or an open one.
// Nothing else runs on the box, so the supplicant of the 4-way handshake is
// here too, in place of wpa_supplicant's.
//
// One way serves every driver of the kernel that has nl80211's CONNECT: scan,
// connect, the 4-way handshake over a packet socket, keys and the controlled
// port by nl80211. No part of the handshake is left to firmware.
//
// Not there: WPA3 (SAE), protected management frames, enterprise networks
// (802.1X), TKIP, WEP and roaming. Each is refused with an error of its own.
package wifi

import (
	"crypto/pbkdf2"
	"crypto/sha1"
	"fmt"
	"io"
)

// Network is a Wi-Fi network to join.
type Network struct {
	SSID    string
	PSK     Key    // of a network with a passphrase: see [PSK]
	Open    bool   // it has neither passphrase nor keys; PSK is not used
	Country string // whose rules the radio obeys, "DE"; "": those it has
}

// Key is a secret of 256 bits. It does not show itself in logs.
type Key [32]byte

const hidden = "(secret)"

// Format implements [fmt.Formatter] for every verb.
func (Key) Format(f fmt.State, _ rune) {
	// There is nobody to tell that a state takes no text.
	_, _ = io.WriteString(f, hidden)
}

// MarshalText implements [encoding.TextMarshaler].
func (Key) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// Bounds of IEEE Std 802.11-2020: 9.4.2.2, and J.4.1.
const (
	maxSSID       = 32
	minPassphrase = 8
	maxPassphrase = 63
	pskIterations = 4096
)

// PSK makes the key of a network of its passphrase (IEEE Std 802.11-2020,
// J.4.1). It takes a moment, as it should.
func PSK(ssid, passphrase string) (Key, error) {
	if err := checkSSID(ssid); err != nil {
		return Key{}, err
	}
	if n := len(passphrase); n < minPassphrase || n > maxPassphrase {
		return Key{}, fmt.Errorf("Wi-Fi passphrase of %q has %d characters: want %d to %d", ssid, n, minPassphrase, maxPassphrase)
	}
	for i := range len(passphrase) {
		if c := passphrase[i]; c < ' ' || c > '~' {
			return Key{}, fmt.Errorf("Wi-Fi passphrase of %q: character %d is not printable ASCII", ssid, i+1)
		}
	}
	b, err := pbkdf2.Key(sha1.New, passphrase, []byte(ssid), pskIterations, len(Key{}))
	if err != nil {
		return Key{}, fmt.Errorf("Wi-Fi passphrase of %q: %w", ssid, err)
	}
	return Key(b), nil
}

func checkSSID(ssid string) error {
	if n := len(ssid); n == 0 || n > maxSSID {
		return fmt.Errorf("Wi-Fi network %.40q: its name has %d bytes, want 1 to %d", ssid, n, maxSSID)
	}
	return nil
}

// check tells what is wrong with the network before anything is sent.
func (n Network) check() error {
	if err := checkSSID(n.SSID); err != nil {
		return err
	}
	if !n.Open && n.PSK == (Key{}) {
		return fmt.Errorf("Wi-Fi network %q: it has no key; give its passphrase, or say that it is open", n.SSID)
	}
	if n.Country == "" {
		return nil
	}
	if len(n.Country) != 2 || !capital(n.Country[0]) || !capital(n.Country[1]) {
		return fmt.Errorf("Wi-Fi country %.10q: want two capital letters such as \"DE\" (ISO 3166-1)", n.Country)
	}
	return nil
}

func capital(c byte) bool { return 'A' <= c && c <= 'Z' }
