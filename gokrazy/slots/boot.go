package slots

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"regexp"

	"github.com/cloud-of-se/tses/gokrazy/internal/image"
)

// bootFiles are those that name the root file system: for the firmware of a
// Raspberry Pi, and for UEFI.
var bootFiles = []string{"cmdline.txt", "loader/entries/gokrazy.conf"}

// ErrBoot says that the boot partition is not as this package knows it: it is
// another's, or half overwritten. It is left alone then, but by ChangeBoot.
var ErrBoot = errors.New("the boot partition does not name a root file system as expected; make the SD card again")

// rootWord finds the root file system in a kernel's command line, slotOf the
// digit in it that names a slot: of PARTNROFF, or of a partition.
var (
	rootWord = regexp.MustCompile(`(?:^|[ \n])root=([^ \n]*)`)
	slotOf   = regexp.MustCompile(`^(?:PARTUUID=[0-9A-Fa-f-]+/PARTNROFF=([12])|/dev/(?:[a-z]+|[a-z]+[0-9]+(?:n[0-9]+)?p)([23]))$`)
)

// digit is a place in the boot partition that names a slot.
type digit struct {
	file  string
	disk  string // what stands before the digit
	at    int64
	value byte
	base  byte // the digit of slot A
}

func (d digit) slot() Slot { return A + Slot(d.value-d.base) }

// parseRoot finds the digit in the text of a boot file, and the disk that
// stands before it.
func parseRoot(text []byte) (disk string, at int, base byte, err error) {
	words := rootWord.FindAllSubmatchIndex(text, 2)
	if len(words) != 1 {
		return "", 0, 0, ErrBoot
	}
	begin := words[0][2]
	switch found := slotOf.FindSubmatchIndex(text[begin:words[0][3]]); {
	case found == nil:
		return "", 0, 0, ErrBoot
	case found[2] >= 0:
		at, base = begin+found[2], '1'
	default:
		at, base = begin+found[4], '2'
	}
	return string(text[begin:at]), at, base, nil
}

// maxBootFile bounds what is read; the kernel takes 2048 bytes.
const maxBootFile = 4096

// digits finds the places in all boot files. Those that are not there are of a
// machine that this card is not for, but one there has to be.
func digits(boot *Partition) ([]digit, error) {
	var all []digit
	for _, name := range bootFiles {
		offset, size, err := image.Place(io.NewSectionReader(boot, 0, boot.Size), name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if errors.Is(err, image.ErrFormat) {
			return nil, fmt.Errorf("%w: %w", ErrBoot, err)
		}
		if err != nil {
			return nil, err
		}
		if size > maxBootFile {
			return nil, fmt.Errorf("%s: %d bytes: %w", name, size, ErrBoot)
		}
		text := make([]byte, size)
		if _, err := boot.ReadAt(text, offset); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		disk, at, base, err := parseRoot(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		all = append(all, digit{name, disk, offset + int64(at), text[at], base})
	}
	if len(all) == 0 {
		return nil, ErrBoot
	}
	return all, nil
}

// Selects tells whether all boot files name the slot.
func Selects(boot *Partition, s Slot) (bool, error) {
	all, err := digits(boot)
	if err != nil {
		return false, err
	}
	for _, d := range all {
		if d.slot() != s {
			return false, nil
		}
	}
	return true, nil
}

// Select makes all boot files name the slot. Each is changed by one byte in
// place, and is on the medium before the next is touched. It changes nothing
// where nothing is to be changed.
func Select(boot *Partition, s Slot) error {
	all, err := digits(boot)
	if err != nil {
		return err
	}
	for _, d := range all {
		if d.slot() == s {
			continue
		}
		if _, err := boot.WriteAt([]byte{d.base + byte(s-A)}, d.at); err != nil {
			return fmt.Errorf("%s: %w", d.file, err)
		}
		if err := boot.Sync(); err != nil {
			return fmt.Errorf("%s: %w", d.file, err)
		}
	}
	return nil
}
