package sdcard

import (
	"encoding/hex"
	"fmt"
	"regexp"
)

// Wifi is the table [network.wifi] of the configuration. With it the box is
// connected by Wi-Fi, WPA2 with a key that is shared beforehand, in the place of
// Ethernet.
type Wifi struct {
	SSID       string `toml:"ssid"`       // the network's name, 1 to 32 bytes
	Passphrase string `toml:"passphrase"` // 8 to 63 characters of ASCII
	PSK        string `toml:"psk"`        // in its place, what is made of passphrase and name: 64 digits of hex
	Open       bool   `toml:"open"`       // the network has no key; RACS is as safe as anywhere, the network is not
	Country    string `toml:"country"`    // whose rules the radio obeys, such as "DE"; without it, those that hold everywhere
}

var (
	// IEEE Std 802.11-2020, J.4.1: the characters of a passphrase.
	wifiPassphrase = regexp.MustCompile(`^[ -~]{8,63}$`)
	countryCode    = regexp.MustCompile(`^[A-Z]{2}$`)
)

const (
	maxSSID = 32 // bytes: IEEE Std 802.11-2020, 9.4.2.2
	pskSize = 32 // bytes
)

// Given tells whether the table is there.
func (w Wifi) Given() bool { return w != Wifi{} }

// Check tells what is wrong with the table, naming the key and never its value
// where that is secret.
func (w Wifi) Check() error {
	if !w.Given() {
		return nil
	}
	if len(w.SSID) == 0 || len(w.SSID) > maxSSID {
		return fmt.Errorf("network.wifi.ssid = %.40q: want the network's name, 1 to %d bytes", w.SSID, maxSSID)
	}
	if w.Country != "" && !countryCode.MatchString(w.Country) {
		return fmt.Errorf("network.wifi.country = %.40q: want two capital letters such as \"DE\" (ISO 3166-1)", w.Country)
	}
	given := 0
	for _, g := range []bool{w.Passphrase != "", w.PSK != "", w.Open} {
		if g {
			given++
		}
	}
	if given != 1 {
		return fmt.Errorf("network.wifi: want one of passphrase, psk and open = true for %.40q; there are %d", w.SSID, given)
	}
	if w.Passphrase != "" && !wifiPassphrase.MatchString(w.Passphrase) {
		return fmt.Errorf("network.wifi.passphrase: want 8 to 63 characters of ASCII; it has %d bytes", len(w.Passphrase))
	}
	if key, err := hex.DecodeString(w.PSK); w.PSK != "" && (err != nil || len(key) != pskSize) {
		return fmt.Errorf("network.wifi.psk: want %d digits of hex; it has %d characters", 2*pskSize, len(w.PSK))
	}
	return nil
}
