package builder

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// versionDigits is how many hex digits there are of each half of a version.
const versionDigits = 12

// makeVersion names what is made: the sources, and everything that decides with
// them what gets on the card, as two hashes. So of two cards with the same
// sources and different configurations a box knows which is the older one, see
// buildTime, and takes back none that somebody has kept.
func (b *build) makeVersion() (string, error) {
	sources, err := treeHash(b.Repository)
	if err != nil {
		return "", err
	}
	files, err := b.ownFiles()
	if err != nil {
		return "", err
	}
	// Versions are seen by many, and a password of a Wi-Fi could be guessed from a
	// plain hash. The key of the box, which is on the card too, keeps it.
	sum := hmac.New(sha256.New, b.box.KeyPEM)
	item := func(kind, name string, content []byte) {
		fmt.Fprintf(sum, "%s %q %x\n", kind, name, sha256.Sum256(content)) // a hash takes everything
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		item("file", name, []byte(files[name]))
	}
	for _, name := range slices.Sorted(maps.Keys(b.config.wifiFirmware)) {
		item("firmware", name, b.config.wifiFirmware[name])
	}
	for _, line := range b.config.firmware.Lines {
		item("line", line, nil)
	}
	item("console", fmt.Sprint(!b.config.firmware.NoConsole), nil)
	for _, tag := range b.Tags {
		item("tag", tag, nil)
	}
	return sources + "-" + hex.EncodeToString(sum.Sum(nil))[:versionDigits], nil
}

// treeHash names the sources that a card is made from, committed or not: 12
// digits of a hash over go.mod, go.sum and the Go files that programs are
// compiled from.
func treeHash(root string) (string, error) {
	sum := sha256.New()
	// WalkDir goes in the order of names, the same everywhere.
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			if path != root && (strings.HasPrefix(name, ".") || name == "testdata") {
				return fs.SkipDir
			}
			return nil
		}
		source := strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go")
		if !source && name != "go.mod" && name != "go.sum" {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(sum, "%s %x\n", filepath.ToSlash(relative), sha256.Sum256(text))
		return err
	})
	if err != nil {
		return "", fmt.Errorf("sources: %w", err)
	}
	return hex.EncodeToString(sum.Sum(nil))[:versionDigits], nil
}
