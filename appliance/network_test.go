package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestNetworkTable(t *testing.T) {
	for text, want := range map[string]string{
		"[network]\naddress = \"192.168.1.20/24\"\ngateway = \"192.168.1.1\"\nntp = [\"pool.ntp.org\"]\n": "",
		"[network]\naddress = \"192.168.1.20\"\n":                                                         "network.address",
		"[network]\ngatewy = \"192.168.1.1\"\n":                                                           `did you mean "network.gateway"`,
		"[network.wifi]\nssid = \"lab\"\npassphrase = \"correct horse\"\n":                                "",
		"[network.wifi]\nssid = \"lab\"\n":                                                                "network.wifi: want one of",
		"[network.wifi]\nsid = \"lab\"\n":                                                                 `did you mean "network.wifi.ssid"`,
		"accept_lost_state = \"yes\"\n":                                                                   "the time that the log tells",
		"accept_lost_stat = \"2026\"\n":                                                                   `did you mean "accept_lost_state"`,
	} {
		path := filepath.Join(t.TempDir(), "config.toml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := loadConfig(path)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
