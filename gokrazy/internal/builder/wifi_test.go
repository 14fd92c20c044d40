package builder

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const onWifi = "[network.wifi]\nssid = \"lab\"\npassphrase = \"correct horse\"\n"

// firmwareTree makes a directory such as /lib/firmware. A content that begins
// with "->" is a link.
func firmwareTree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if to, ok := strings.CutPrefix(content, "->"); ok {
			if err := os.Symlink(to, path); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestWifiFirmware(t *testing.T) {
	debian := map[string]string{
		"brcm/brcmfmac43455-sdio.bin":                         "->../cypress/cyfmac43455-sdio.bin",
		"cypress/cyfmac43455-sdio.bin":                        "program",
		"brcm/brcmfmac43455-sdio.raspberrypi,4-model-b.txt":   "settings",
		"brcm/brcmfmac43455-sdio.clm_blob":                    "->nowhere",
		"brcm/brcmfmac43430-sdio.bin":                         "program of a 3B",
		"brcm/brcmfmac4356-pcie.bin":                          "of no Raspberry Pi",
		"regulatory.db":                                       "->regulatory.db-debian",
		"regulatory.db-debian":                                "rules",
		"regulatory.db-upstream":                              "rules of upstream",
		"regulatory.db.p7s-upstream":                          "signature of upstream",
		"brcm/brcmfmac43455-sdio.raspberrypi,4-model-b.bin.d": "", // whatever it is, it is small
	}
	for _, tt := range []struct {
		name, config, board string
		files               map[string]string
		want                []string // on the card
		err                 string
	}{
		{"no Wi-Fi", "", "4b", debian, nil, "no [network.wifi]"},
		{"any board", onWifi, "", debian, []string{
			"brcm/brcmfmac43430-sdio.bin", "brcm/brcmfmac43455-sdio.bin",
			"brcm/brcmfmac43455-sdio.raspberrypi,4-model-b.bin.d", "brcm/brcmfmac43455-sdio.raspberrypi,4-model-b.txt",
		}, ""},
		{"a 3B in Germany", onWifi + "country = \"DE\"\n", "3b", debian, []string{"brcm/brcmfmac43430-sdio.bin", "regulatory.db", "regulatory.db.p7s"}, ""},
		{"another board's", onWifi, "3b", map[string]string{"brcm/brcmfmac43455-sdio.bin": "program"}, nil, "no brcmfmac43430-sdio.bin"},
		{"none", onWifi, "", nil, nil, "package firmware-brcm80211"},
		{"compressed", onWifi, "4b", map[string]string{"brcm/brcmfmac43455-sdio.bin.xz": "xz"}, nil, "unpack it"},
		{"too large", onWifi, "4b", map[string]string{"brcm/brcmfmac43455-sdio.bin": strings.Repeat("x", maxFirmware+1)}, nil, "not a file of"},
		{"a country without rules", onWifi + "country = \"DE\"\n", "4b", map[string]string{"brcm/brcmfmac43455-sdio.bin": "program"}, nil, "wireless-regdb"},
		{"a board without Wi-Fi", onWifi, "cm3", debian, nil, "has no Wi-Fi"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := &build{Options: Options{Board: tt.board, WifiFirmware: firmwareTree(t, tt.files)}}
			if tt.config != "" {
				b.Config = filepath.Join(t.TempDir(), "config.toml")
				if err := os.WriteFile(b.Config, []byte(tt.config), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			b.Repository = repository
			err := b.readConfiguration(t.Context())
			if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Fatalf("error %v, want %q in it", err, tt.err)
			}
			if got := slices.Sorted(maps.Keys(b.config.wifiFirmware)); err == nil && !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if rules, ok := b.config.wifiFirmware["regulatory.db"]; ok && string(rules) != "rules of upstream" {
				t.Errorf("the database is %q, and the kernel knows the keys of upstream alone", rules)
			}
		})
	}
}

// What the packer is told puts the files where the kernel looks for them.
func TestWifiInstance(t *testing.T) {
	b, err := prepared(t, "", "")
	if err != nil {
		t.Fatal(err)
	}
	b.config.wifiFirmware = map[string][]byte{"brcm/brcmfmac43455-sdio.bin": []byte("program")}
	c, err := b.instanceConfig()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := b.writeWifiFirmware(dir); err != nil {
		t.Fatal(err)
	}
	from := c.PackageConfig[initPkg].ExtraFilePaths[cardFirmware]
	if got := read(t, filepath.Join(dir, from, "brcm", "brcmfmac43455-sdio.bin")); got != "program" {
		t.Errorf("%s: %q", from, got)
	}
}
