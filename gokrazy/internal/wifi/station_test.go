//go:build linux

package wifi

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// attributes encodes what the kernel would.
func attributes(t testing.TB, f func(*netlink.AttributeEncoder)) []byte {
	t.Helper()
	e := netlink.NewAttributeEncoder()
	f(e)
	b, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func bssAttributes(t testing.TB) []byte {
	return attributes(t, func(e *netlink.AttributeEncoder) {
		e.Uint32(unix.NL80211_ATTR_IFINDEX, 3)
		e.Nested(unix.NL80211_ATTR_BSS, func(e *netlink.AttributeEncoder) error {
			e.Bytes(unix.NL80211_BSS_BSSID, []byte{2, 0, 0, 0, 0, 9})
			e.Uint32(unix.NL80211_BSS_FREQUENCY, 2437)
			e.Int32(unix.NL80211_BSS_SIGNAL_MBM, -4200)
			e.Uint16(unix.NL80211_BSS_CAPABILITY, 0x0411)
			e.Bytes(unix.NL80211_BSS_INFORMATION_ELEMENTS, join(element(elementSSID, []byte("net")), rsnOf(4, 4, 2, 0)))
			return nil
		})
	})
}

func TestParseBSS(t *testing.T) {
	got, ok := parseBSS(bssAttributes(t))
	if !ok || got.address != (address{2, 0, 0, 0, 0, 9}) || got.frequency != 2437 || got.signal != -4200 || !got.privacy || got.ssid != "net" {
		t.Errorf("got %+v, %v", got, ok)
	}
	if err := got.suits(false); err != nil {
		t.Error(err)
	}
	for _, bad := range [][]byte{nil, {1}, {0xFF, 0xFF, 0, 0}, attributes(t, func(e *netlink.AttributeEncoder) { e.Bytes(unix.NL80211_ATTR_BSS, []byte{1}) })} {
		if got, ok := parseBSS(bad); ok {
			t.Errorf("%x is taken as %+v", bad, got)
		}
	}
}

func TestEvents(t *testing.T) {
	parse := func(command uint8, f func(*netlink.AttributeEncoder)) event {
		t.Helper()
		e, err := parseEvent(command, attributes(t, f))
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	joined := parse(unix.NL80211_CMD_CONNECT, func(e *netlink.AttributeEncoder) {
		e.Uint32(unix.NL80211_ATTR_IFINDEX, 7)
		e.Uint16(unix.NL80211_ATTR_STATUS_CODE, 0)
		e.Bytes(unix.NL80211_ATTR_REQ_IE, join(element(elementSSID, []byte("net")), ownRSN()))
	})
	if err := joined.refused("net"); err != nil || joined.index != 7 || string(joined.sentRSN()) != string(ownRSN()) {
		t.Errorf("%+v: %v", joined, err)
	}
	for _, tt := range []struct {
		name    string
		command uint8
		fill    func(*netlink.AttributeEncoder)
		want    error
		says    string
	}{
		{"full", unix.NL80211_CMD_CONNECT, func(e *netlink.AttributeEncoder) { e.Uint16(unix.NL80211_ATTR_STATUS_CODE, 17) }, ErrRefused, "too many stations"},
		{"unknown", unix.NL80211_CMD_CONNECT, func(e *netlink.AttributeEncoder) { e.Uint16(unix.NL80211_ATTR_STATUS_CODE, 999) }, ErrRefused, "code 999"},
		{"silent", unix.NL80211_CMD_CONNECT, func(e *netlink.AttributeEncoder) { e.Flag(unix.NL80211_ATTR_TIMED_OUT, true) }, ErrRefused, "does not answer"},
		{"thrown out", unix.NL80211_CMD_DISCONNECT, func(e *netlink.AttributeEncoder) {
			e.Uint16(unix.NL80211_ATTR_REASON_CODE, 16)
			e.Flag(unix.NL80211_ATTR_DISCONNECTED_BY_AP, true)
		}, ErrLost, "by the access point: the group key handshake"},
		{"left", unix.NL80211_CMD_DISCONNECT, func(e *netlink.AttributeEncoder) { e.Uint16(unix.NL80211_ATTR_REASON_CODE, 4) }, ErrLost, "by this side: nothing was heard"},
		{"roamed", unix.NL80211_CMD_ROAM, func(*netlink.AttributeEncoder) {}, ErrLost, "another access point"},
		{"unplugged", unix.NL80211_CMD_DEL_INTERFACE, func(*netlink.AttributeEncoder) {}, ErrLost, "gone"},
		{"scanned", unix.NL80211_CMD_NEW_SCAN_RESULTS, func(*netlink.AttributeEncoder) {}, nil, ""},
	} {
		e := parse(tt.command, tt.fill)
		err := e.gone("wlan0")
		if tt.command == unix.NL80211_CMD_CONNECT {
			err = e.refused("net")
		}
		if !errors.Is(err, tt.want) || tt.want != nil && !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v; want %v that says %q", tt.name, err, tt.want, tt.says)
		}
	}
}

func TestNotAccepted(t *testing.T) {
	lost := func(reason uint16) error { return &lostError{"wlan0", reason, "by the access point"} }
	for _, tt := range []struct {
		name              string
		answered, badMICs int
		err               error
		want              error
	}{
		{"told, behind message 2", 1, 0, lost(15), ErrPassphrase},
		{"told in the old way", 1, 0, lost(2), ErrPassphrase},
		{"told before message 1", 0, 0, lost(2), ErrLost},
		{"another reason", 1, 0, lost(5), ErrLost},
		{"message 1 again and again", manyFirst, 0, lost(0), ErrPassphrase},
		{"message 1 again and again, no end", manyFirst, 0, ErrRefused, ErrPassphrase},
		{"wrong code of message 3", 1, 1, ErrRefused, ErrPassphrase},
		{"silence", 1, 0, ErrRefused, ErrRefused},
	} {
		l := &link{ap: &bss{ssid: "net"}, sup: &supplicant{answered: tt.answered, badMICs: tt.badMICs}}
		got := l.notAccepted(tt.err)
		if !errors.Is(got, tt.want) || errors.Is(got, ErrPassphrase) != (tt.want == ErrPassphrase) {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestRunRefuses(t *testing.T) {
	s := &Station{Network: Network{SSID: "net"}}
	if err := s.Run(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "no key") {
		t.Errorf("a network without a key: %v", err)
	}
}

func TestLoadDriversAbsent(t *testing.T) {
	err := LoadDrivers(t.TempDir())
	if !errors.Is(err, ErrNoDrivers) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want %v", err, ErrNoDrivers)
	}
}

// What is no module is refused by the kernel, or to who may not load any.
func TestLoadDriversBroken(t *testing.T) {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, unix.ByteSliceToString(name.Release[:]), driverDir, drivers[0].path)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("no module"), 0o644); err != nil {
		t.Fatal(err)
	}
	err := LoadDrivers(dir)
	if !errors.Is(err, ErrNoDrivers) || errors.Is(err, os.ErrNotExist) || !strings.Contains(fmt.Sprint(err), drivers[0].path) {
		t.Errorf("got %v, want %v that names %s", err, ErrNoDrivers, drivers[0].path)
	}
}

func FuzzAttributes(f *testing.F) {
	f.Add(bssAttributes(f))
	f.Add(attributes(f, func(e *netlink.AttributeEncoder) {
		e.Uint32(unix.NL80211_ATTR_IFINDEX, 7)
		e.Bytes(unix.NL80211_ATTR_REQ_IE, ownRSN())
		e.Uint16(unix.NL80211_ATTR_STATUS_CODE, 1)
		e.String(unix.NL80211_ATTR_IFNAME, "wlan0")
	}))
	f.Fuzz(func(t *testing.T, data []byte) {
		if b, ok := parseBSS(data); ok {
			_ = b.suits(false)
		}
		if e, err := parseEvent(unix.NL80211_CMD_CONNECT, data); err == nil {
			_ = e.sentRSN()
			_ = e.refused("net")
		}
		if i, err := parseInterface(data); err == nil && len(i.name) > len(data) {
			t.Errorf("%+v", i)
		}
	})
}
