package sdcard

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/BurntSushi/toml"
)

func TestNetworkCheck(t *testing.T) {
	for _, tt := range []struct {
		name string
		n    Network
		want string // part of the error; "" for none
	}{
		{"nothing", Network{}, ""},
		{"DHCP", Network{Interface: "eth0", Address: "dhcp", DNS: []string{"10.0.0.2"}, NTP: []string{"pool.ntp.org", "10.0.0.3", "fd00::1"}}, ""},
		{"static", Network{Address: "192.168.1.20/24", Gateway: "192.168.1.1", DNS: []string{"192.168.1.1"}}, ""},
		{"static without a way out", Network{Address: "192.168.1.20/24"}, ""},
		{"no length", Network{Address: "192.168.1.20"}, "network.address"},
		{"a name", Network{Address: "box"}, "network.address"},
		{"IPv6", Network{Address: "fd00::2/64"}, "network.address"},
		{"loopback", Network{Address: "127.0.0.1/8"}, "network.address"},
		{"gateway and DHCP", Network{Gateway: "192.168.1.1"}, "network.gateway"},
		{"gateway elsewhere", Network{Address: "192.168.1.20/24", Gateway: "192.168.2.1"}, "network.gateway"},
		{"gateway is the box", Network{Address: "192.168.1.20/24", Gateway: "192.168.1.20"}, "network.gateway"},
		{"interface", Network{Interface: "eth0; reboot"}, "network.interface"},
		{"long interface", Network{Interface: strings.Repeat("e", 16)}, "network.interface"},
		{"DNS by name", Network{DNS: []string{"dns.example"}}, "network.dns"},
		{"many DNS", Network{DNS: make([]string, 9)}, "network.dns"},
		{"NTP", Network{NTP: []string{"not a host"}}, "network.ntp"},
		{"many NTP", Network{NTP: make([]string, 9)}, "network.ntp"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.n.Check()
			if (err == nil) != (tt.want == "") || err != nil && !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestWifiCheck(t *testing.T) {
	const secret = "correct horse"
	psk := strings.Repeat("0aB1", 16)
	for _, tt := range []struct {
		name string
		w    Wifi
		want string // part of the error; "" for none
	}{
		{"nothing", Wifi{}, ""},
		{"passphrase", Wifi{SSID: "lab", Passphrase: secret, Country: "DE"}, ""},
		{"longest", Wifi{SSID: strings.Repeat("é", 16), Passphrase: strings.Repeat("~", 63)}, ""},
		{"key", Wifi{SSID: "lab", PSK: psk}, ""},
		{"open", Wifi{SSID: "lab", Open: true}, ""},
		{"neither", Wifi{SSID: "lab"}, "network.wifi: want one of"},
		{"open and a passphrase", Wifi{SSID: "lab", Open: true, Passphrase: secret}, "network.wifi: want one of"},
		{"passphrase and key", Wifi{SSID: "lab", PSK: psk, Passphrase: secret}, "network.wifi: want one of"},
		{"no name", Wifi{Passphrase: secret}, "network.wifi.ssid"},
		{"long name", Wifi{SSID: strings.Repeat("é", 17), Passphrase: secret}, "network.wifi.ssid"},
		{"short", Wifi{SSID: "lab", Passphrase: secret[:7]}, "network.wifi.passphrase"},
		{"long", Wifi{SSID: "lab", Passphrase: strings.Repeat(secret, 5)}, "network.wifi.passphrase"},
		{"not ASCII", Wifi{SSID: "lab", Passphrase: secret + "é"}, "network.wifi.passphrase"},
		{"odd key", Wifi{SSID: "lab", PSK: psk[1:]}, "network.wifi.psk"},
		{"short key", Wifi{SSID: "lab", PSK: psk[2:]}, "network.wifi.psk"},
		{"key of other digits", Wifi{SSID: "lab", PSK: strings.Repeat("xy", 32)}, "network.wifi.psk"},
		{"country", Wifi{SSID: "lab", Passphrase: secret, Country: "Germany"}, "network.wifi.country"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := Network{Wifi: tt.w}.Check()
			if (err == nil) != (tt.want == "") || err != nil && !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			for _, s := range []string{tt.w.Passphrase, tt.w.PSK} {
				if err != nil && s != "" && strings.Contains(err.Error(), s) {
					t.Errorf("%q tells the secret", err)
				}
			}
		})
	}
}

func TestClockState(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run", "clock")
	if c, err := ReadClock(path); c.State != ClockFloor || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without a file: %v, %v", c, err)
	}
	at := time.Date(2026, 5, 1, 2, 3, 4, 0, time.UTC)
	for _, want := range []Clock{{ClockFloor, at}, {ClockTold, at}, {ClockSet, at}, {ClockSet, time.Time{}}} {
		if err := WriteClock(path, want); err != nil {
			t.Fatal(err)
		}
		if c, err := ReadClock(path); c != want || err != nil {
			t.Errorf("got %v, %v; want %v", c, err, want)
		}
	}
	for _, text := range []string{"perfect", "set", "set now", "perfect 2026-05-01T02:03:04Z", ""} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if c, err := ReadClock(path); c != (Clock{State: ClockFloor}) || !errors.Is(err, ErrClockState) {
			t.Errorf("%q: %v, %v", text, c, err)
		}
	}
}

func TestLoss(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "loss")
	if l, err := ReadLoss(dir); l != nil || err != nil {
		t.Fatalf("nothing was lost: %v, %v", l, err)
	}
	first := NewLoss(time.Date(2026, 11, 1, 2, 3, 4, 5, time.UTC), "it could not be mounted")
	for _, l := range []Loss{first, NewLoss(first.Time.Add(time.Hour), "again")} {
		if err := RecordLoss(dir, l); err != nil {
			t.Fatal(err)
		}
	}
	l, err := ReadLoss(dir)
	if err != nil || l.Key() != first.Key() || l.Why != "it could not be mounted" {
		t.Errorf("got %+v, %v; want the first", l, err)
	}
	if err := RemoveLoss(dir); err != nil {
		t.Fatal(err)
	}
	if l, err := ReadLoss(dir); l != nil || err != nil {
		t.Errorf("removed: %v, %v", l, err)
	}
	if err := RemoveLoss(dir); err != nil {
		t.Errorf("there is none: %v", err)
	}
}

// A box whose clock starts in 1970 each time has losses that can be told from
// each other all the same, by a time that the configuration takes.
func TestNewLossIsUnique(t *testing.T) {
	now := time.Unix(7, 0)
	keys := make(map[string]bool)
	for range 20 {
		key := NewLoss(now, "").Key()
		if at, err := time.Parse(time.RFC3339, key); err != nil || at.Before(now) || at.Sub(now) > time.Second {
			t.Errorf("key %q: %v, %v", key, at, err)
		}
		keys[key] = true
	}
	if len(keys) < 19 { // two of 20 are alike once in 5000 times
		t.Errorf("%d keys of 20 losses", len(keys))
	}
	// Of what older boxes have recorded the key is what it was.
	if key := (Loss{Time: time.Date(2026, 11, 1, 2, 3, 4, 0, time.UTC)}).Key(); key != "2026-11-01T02:03:04Z" {
		t.Errorf("key %q", key)
	}
}

// What stands in the record's place is a loss, whatever it is, and a new record
// takes the place of one that cannot be read.
func TestUnreadableLoss(t *testing.T) {
	for name, place := range map[string]func(path string) error{
		"torn":      func(path string) error { return os.WriteFile(path, []byte("{"), 0o644) },
		"endless":   func(path string) error { return os.WriteFile(path, make([]byte, maxLoss+1), 0o644) },
		"directory": func(path string) error { return os.Mkdir(path, 0o755) },
		"dangling":  func(path string) error { return os.Symlink("nowhere", path) },
	} {
		dir := t.TempDir()
		if err := place(filepath.Join(dir, LostFile)); err != nil {
			t.Fatal(err)
		}
		if l, err := ReadLoss(dir); l == nil || err != nil || !l.Time.IsZero() {
			t.Errorf("%s: %v, %v; want a loss without a time", name, l, err)
		}
		err := RecordLoss(dir, NewLoss(time.Now(), "new"))
		if l, readErr := ReadLoss(dir); name != "directory" && (err != nil || readErr != nil || l.Why != "new") {
			t.Errorf("%s: recorded anew: %v; %v, %v", name, err, l, readErr)
		} else if name == "directory" && err == nil {
			t.Errorf("%s: a directory was replaced", name)
		}
	}
}

func TestReadBuild(t *testing.T) {
	path := filepath.Join(t.TempDir(), "build")
	for text, ok := range map[string]bool{
		`{"time":"2026-11-01T00:00:00Z","version":"v1"}`: true, `{"version":"v1"}`: false, `{`: false, "": false,
	} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if b, err := ReadBuild(path); (err == nil) != ok || ok && b.Time.Year() != 2026 {
			t.Errorf("%q: %+v, %v", text, b, err)
		}
	}
}

// A card asks several servers unless its configuration says which, or none.
func TestOtherNTP(t *testing.T) {
	all := Network{}.OtherNTP()
	if len(all) < 3 || (Network{NTP: all}).Check() != nil {
		t.Errorf("by default %q", all)
	}
	for _, text := range []string{`ntp = []`, `ntp = ["192.168.1.2"]`} {
		var n Network
		if _, err := toml.Decode(text, &n); err != nil {
			t.Fatal(err)
		}
		if got := n.OtherNTP(); len(got) > 0 {
			t.Errorf("beside %s: %q", text, got)
		}
	}
}
