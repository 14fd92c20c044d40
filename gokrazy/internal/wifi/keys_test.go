package wifi

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// IEEE Std 802.11-2020, J.4.2.
func TestPSK(t *testing.T) {
	for _, tt := range []struct{ passphrase, ssid, want string }{
		{"password", "IEEE", "f42c6fc52df0ebef9ebb4b90b38a5f902e83fe1b135a70e23aed762e9710a12e"},
		{"ThisIsAPassword", "ThisIsASSID", "0dc0d6eb90555ed6419756b9a15ec3e3209b63df707dd508d14581f8982721af"},
		{strings.Repeat("a", 32), strings.Repeat("Z", 32), "becb93866bb8c3832cb777c2f559807c8c59afcb6eae734885001300a981cc62"},
	} {
		got, err := PSK(tt.ssid, tt.passphrase)
		if err != nil || hex.EncodeToString(got[:]) != tt.want {
			t.Errorf("PSK(%q, %q) = %s, %v; want %s", tt.ssid, tt.passphrase, hex.EncodeToString(got[:]), err, tt.want)
		}
	}
}

func TestPSKRefuses(t *testing.T) {
	for _, tt := range []struct{ ssid, passphrase string }{
		{"", "password"},
		{strings.Repeat("x", 33), "password"},
		{"net", "1234567"},
		{"net", strings.Repeat("x", 64)},
		{"net", "passw\u00f6rd"},
		{"net", "pass\x00word"},
	} {
		got, err := PSK(tt.ssid, tt.passphrase)
		if err == nil || got != (Key{}) {
			t.Errorf("PSK(%q, %q) gives a key, want an error", tt.ssid, tt.passphrase)
		} else if strings.Contains(err.Error(), tt.passphrase) {
			t.Errorf("PSK(%q, ...): the error tells the passphrase: %v", tt.ssid, err)
		}
	}
}

// A key must not come into a log, however it is written.
func TestKeyIsHidden(t *testing.T) {
	n := Network{SSID: "net", PSK: Key{1, 2, 3, 0xAB}}
	var log bytes.Buffer
	for _, h := range []slog.Handler{slog.NewTextHandler(&log, nil), slog.NewJSONHandler(&log, nil)} {
		slog.New(h).Info("wifi", "network", n, "key", n.PSK, "pointer", &n)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%x", "%X", "%d", "%s", "%q"} {
		fmt.Fprintf(&log, verb+" "+verb+"\n", n.PSK, n)
	}
	for _, bad := range []string{"1 2 3", "1,2,3", "010203", "0x1, 0x2", "AQID"} {
		if strings.Contains(log.String(), bad) {
			t.Errorf("the key is in the log as %q:\n%s", bad, &log)
		}
	}
	if !strings.Contains(log.String(), hidden) {
		t.Errorf("no key was written:\n%s", &log)
	}
}

func TestNetworkCheck(t *testing.T) {
	key := Key{1}
	for _, tt := range []struct {
		n    Network
		fine bool
	}{
		{Network{SSID: "net", PSK: key}, true},
		{Network{SSID: "net", PSK: key, Country: "DE"}, true},
		{Network{SSID: "net", Open: true}, true},
		{Network{SSID: "\x01\xff ", Open: true}, true},
		{Network{SSID: "net"}, false},
		{Network{PSK: key}, false},
		{Network{SSID: strings.Repeat("n", 33), PSK: key}, false},
		{Network{SSID: "net", PSK: key, Country: "de"}, false},
		{Network{SSID: "net", PSK: key, Country: "DEU"}, false},
	} {
		if err := tt.n.check(); (err == nil) != tt.fine {
			t.Errorf("%+v: %v", tt.n, err)
		}
	}
}

// The vectors of the pseudorandom function that came with IEEE Std 802.11i, and
// are in J.3 since.
func TestPRF(t *testing.T) {
	for _, tt := range []struct {
		key  []byte
		data string
		want string
	}{
		{bytes.Repeat([]byte{0x0b}, 20), "Hi There",
			"bcd4c650b30b9684951829e0d75f9d54 b862175ed9f00606e17d8da35402ffee 75df78c3d31e0f889f012120c0862beb 67753e7439ae242edb8373698356cf5a"},
		{[]byte("Jefe"), "what do ya want for nothing?",
			"51f4de5b33f249adf81aeb713a3c20f4 fe631446fabdfa58244759ae58ef9009 a99abf4eac2ca5fa87e692c440eb4002 3e7babb206d61de7b92f41529092b8fc"},
		{bytes.Repeat([]byte{0xaa}, 20), strings.Repeat("\xdd", 50),
			"e1ac546ec4cb636f9976487be5c86be1 7a0252ca5d8d8df12cfb0473525249ce 9dd8d177ead710bc9b590547239107ae f7b4abd43d87f0a68f1cbd9e2b6f7607"},
	} {
		for _, n := range []int{48, 64} {
			want := unhex(t, tt.want)[:n]
			if got := prf(tt.key, "prefix", []byte(tt.data), n); !bytes.Equal(got, want) {
				t.Errorf("prf(%x, %q, %d) = %x, want %x", tt.key, tt.data, n, got, want)
			}
		}
	}
}

// RFC 3394, 4.
func TestUnwrap(t *testing.T) {
	for _, tt := range []struct{ kek, wrapped, want string }{
		{"000102030405060708090A0B0C0D0E0F", "1FA68B0A8112B447AEF34BD8FB5A7B829D3E862371D2CFE5", "00112233445566778899AABBCCDDEEFF"},
		{"000102030405060708090A0B0C0D0E0F1011121314151617", "96778B25AE6CA435F92B5B97C050AED2468AB8A17AD84E5D", "00112233445566778899AABBCCDDEEFF"},
		{"000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F",
			"28C9F404C4B810F4CBCCB35CFB87F8263F5786E2D80ED326CBC7F0E71A99F43BFB988B9B7A02DD21",
			"00112233445566778899AABBCCDDEEFF000102030405060708090A0B0C0D0E0F"},
	} {
		kek, wrapped := unhex(t, tt.kek), unhex(t, tt.wrapped)
		got, err := unwrap(kek, wrapped)
		if err != nil || !bytes.Equal(got, unhex(t, tt.want)) {
			t.Errorf("unwrap(%s) = %x, %v; want %s", tt.wrapped, got, err, tt.want)
		}
		if again := wrap(t, kek, got); !bytes.Equal(again, wrapped) {
			t.Errorf("the tests' own wrap gives %x, want %x", again, wrapped)
		}
		for i := range wrapped {
			wrapped[i] ^= 0x10
			if got, err := unwrap(kek, wrapped); !errors.Is(err, errUnwrap) {
				t.Errorf("unwrap with byte %d broken = %x, %v; want %v", i, got, err, errUnwrap)
			}
			wrapped[i] ^= 0x10
		}
		for n := range len(wrapped) {
			if n < 24 || n%8 != 0 {
				if got, err := unwrap(kek, wrapped[:n]); !errors.Is(err, errUnwrap) {
					t.Errorf("unwrap of %d bytes = %x, %v; want %v", n, got, err, errUnwrap)
				}
			}
		}
	}
}
