package perm

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cloud-of-se/tses/gokrazy/sdcard"
	"github.com/cloud-of-se/tses/internal/statefile"
)

// keptFile lists the files of the state directory that have to be there.
const keptFile = "kept"

// maxKept bounds it in bytes.
const maxKept = 64 << 10

// lasting are the files that are there for good once the TSES has made them.
// Others come and go. Whether the state of each software SE is there the TSES
// finds out by the ledger.
var lasting = []string{"server.pem", registryFile, "state.key", "elements/ledger"}

// missing tells what a file system that is mounted should have and has not.
func missing(o Options) (why string, err error) {
	if _, err := os.Lstat(o.State); errors.Is(err, fs.ErrNotExist) {
		return "permanent storage is empty", nil
	} else if err != nil {
		return "", err
	}
	kept, err := statefile.Kept(maxKept).Read(filepath.Join(o.Dir, keptFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	for _, name := range strings.Fields(string(kept)) {
		if !slices.Contains(lasting, name) { // older boxes wrote down all that was there
			continue
		}
		if _, err := os.Lstat(filepath.Join(o.State, name)); errors.Is(err, fs.ErrNotExist) {
			return fmt.Sprintf("%s is gone from permanent storage", name), nil
		}
	}
	return "", nil
}

// Keep writes down which files the state directory has now that the TSES
// serves. While a loss is not accepted, nothing is kept.
func Keep(o Options) error {
	for _, dir := range []string{o.Loss, o.State} {
		if _, err := os.Lstat(filepath.Join(dir, sdcard.LostFile)); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	names := slices.DeleteFunc(slices.Clone(lasting), func(name string) bool {
		_, err := os.Lstat(filepath.Join(o.State, name))
		return err != nil
	})
	path := filepath.Join(o.Dir, keptFile)
	text, err := statefile.Kept(maxKept).Read(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	old := strings.Fields(string(text))
	// What was there once is not forgotten when it goes while the TSES serves.
	for _, name := range old {
		if slices.Contains(lasting, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if slices.Equal(old, names) {
		return nil
	}
	return statefile.Write(path, []byte(strings.Join(names, "\n")+"\n"), 0o644)
}
