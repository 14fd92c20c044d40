package builder

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cloud-of-se/tses/boards"
	"github.com/cloud-of-se/tses/internal/statefile"
)

// The firmware of a Wi-Fi chip is its maker's and comes with no Go module: it is
// taken from a directory of whoever makes the card.
const (
	// ownFirmware is where Linux has it.
	ownFirmware = "/lib/firmware"
	// cardFirmware is where the card's kernel looks for it.
	cardFirmware = "/lib/firmware"

	chipFirmware = "brcm"          // its folder
	rules        = "regulatory.db" // which channels may be used in which country

	maxFirmware = 16 << 20 // bytes in all
)

const firmwareAdvice = "Debian and Raspberry Pi OS have it in the package firmware-brcm80211, as /lib/firmware; " +
	"-wifi-firmware DIR names a copy of that directory"

// wifi finds the files that the card's kernel asks for, when the configuration
// has Wi-Fi.
func (b *build) wifi() error {
	if !b.config.Network.Wifi.Given() {
		if b.WifiFirmware != "" {
			return errors.New("-wifi-firmware: the configuration has no [network.wifi] that it is for")
		}
		return nil
	}
	dir := b.WifiFirmware
	if dir == "" {
		dir = ownFirmware
	}
	chips, err := wifiChips(b.Board)
	if err != nil {
		return err
	}
	f := firmwareFiles{dir: dir, files: make(map[string][]byte)}
	if err := f.addChips(chips); err != nil {
		return err
	}
	if b.config.Network.Wifi.Country != "" {
		if err := f.addRules(); err != nil {
			return err
		}
	}
	b.config.wifiFirmware, b.result.Wifi = f.files, b.config.Network.Wifi.SSID
	return nil
}

// wifiChips are the chips that a board can have, or any board without one.
func wifiChips(board string) (all []string, err error) {
	for _, m := range boards.Models() {
		if board != "" && m.Name != board {
			continue
		}
		for _, c := range m.Wifi {
			if !slices.Contains(all, c) {
				all = append(all, c)
			}
		}
		if board != "" && len(all) == 0 {
			return nil, fmt.Errorf("network.wifi: %s has no Wi-Fi that this card can use; leave the table out for Ethernet", m.Title)
		}
	}
	return all, nil
}

// firmwareFiles are files below a directory, by their paths in it.
type firmwareFiles struct {
	dir   string
	files map[string][]byte
	size  int64
}

// addChips takes all that the driver may ask for in the name of a chip: the
// program, the settings of each board, and the rules of the radio. The program
// of one of the chips has to be there.
func (f *firmwareFiles) addChips(chips []string) error {
	found, err := os.ReadDir(filepath.Join(f.dir, chipFirmware))
	if err != nil {
		return fmt.Errorf("network.wifi: the Wi-Fi chip's firmware is missing: %w; %s", err, firmwareAdvice)
	}
	packed := ""
	for _, entry := range found {
		chip, rest, ok := strings.Cut(entry.Name(), ".")
		if !ok || !slices.Contains(chips, chip) {
			continue
		}
		switch path.Ext(rest) {
		case ".xz", ".zst", ".gz":
			packed = entry.Name()
			continue
		}
		if err := f.add(path.Join(chipFirmware, entry.Name()), entry.Name()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err // a link that leads nowhere is as if it were not there
		}
	}
	if slices.ContainsFunc(chips, f.has) {
		return nil
	}
	if packed != "" {
		return fmt.Errorf("network.wifi: %s in %s is compressed, and the card's kernel wants it as it is: unpack it", packed, f.dir)
	}
	return fmt.Errorf("network.wifi: the Wi-Fi chip's firmware is missing: no %s.bin in %s; %s",
		strings.Join(chips, ".bin and no "), filepath.Join(f.dir, chipFirmware), firmwareAdvice)
}

// has tells whether the program of a chip is there, for all boards or for one.
func (f *firmwareFiles) has(chip string) bool {
	for name := range f.files {
		if strings.HasPrefix(name, chipFirmware+"/"+chip+".") && strings.HasSuffix(name, ".bin") {
			return true
		}
	}
	return false
}

// addRules takes the database that a country needs, with its signature: the one
// of the kernel's own developers where Debian has two, since the card's kernel
// knows their keys alone.
func (f *firmwareFiles) addRules() error {
	for _, suffix := range []string{"-upstream", ""} {
		err := f.add(rules, rules+suffix)
		if err == nil {
			err = f.add(rules+".p7s", rules+".p7s"+suffix)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return fmt.Errorf("network.wifi.country needs %[1]s and %[1]s.p7s, and they are not in %[2]s: Debian has them in the package wireless-regdb", rules, f.dir)
}

// add reads a file in the directory, whatever links lead to it.
func (f *firmwareFiles) add(name, from string) error {
	source := filepath.Join(f.dir, filepath.FromSlash(path.Dir(name)), from)
	text, err := statefile.Rule{Max: maxFirmware, Links: true}.Read(source)
	switch {
	case errors.Is(err, statefile.ErrKind), errors.Is(err, statefile.ErrSize), f.size+int64(len(text)) > maxFirmware:
		return fmt.Errorf("%s: not a file of a Wi-Fi chip's firmware, which has %d bytes in all at most", source, maxFirmware)
	case err != nil:
		return err
	}
	f.size += int64(len(text))
	f.files[name] = text
	return nil
}

// writeWifiFirmware puts the files where the packer takes them from.
func (b *build) writeWifiFirmware(instanceDir string) error {
	for name, text := range b.config.wifiFirmware {
		file := filepath.Join(instanceDir, wifiFirmwareDir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(file, text, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// wifiFirmwareDir is the directory beside the packer's config.json.
const wifiFirmwareDir = "wifi-firmware"
