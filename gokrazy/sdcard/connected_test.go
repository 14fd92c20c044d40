package sdcard

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
)

func TestConnected(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run", "network")
	check := func(want *Connected) {
		t.Helper()
		got, err := ReadConnected(path)
		if err != nil || (got == nil) != (want == nil) || got != nil && *got != *want {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
	}
	check(nil)
	for _, want := range []*Connected{
		{Interface: "eth0", Address: netip.MustParsePrefix("192.168.1.20/24"), Gateway: netip.MustParseAddr("192.168.1.1")},
		{Interface: "wlan0", Address: netip.MustParsePrefix("10.0.0.2/8")},
		nil,
		nil, // is not there already
	} {
		if err := WriteConnected(path, want); err != nil {
			t.Fatal(err)
		}
		check(want)
	}
	for _, text := range []string{"", "{}", "null", "[]", `{"address":"x"}`, `{"interface":"eth0"}`} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if got, err := ReadConnected(path); !errors.Is(err, ErrConnected) {
			t.Errorf("%q: got %+v, %v, want ErrConnected", text, got, err)
		}
	}
	// Whoever reads sees the old file or the new one: something stands in the way.
	if err := os.MkdirAll(filepath.Join(path+".tmp", "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := WriteConnected(path, &Connected{}); err == nil {
		t.Error("a file that cannot be written is no error")
	}
}
