// Package slots keeps the two root file systems of an SD card, of which one
// runs and the other can be replaced, so that a box starts whatever happens.
//
// # On the card
//
// Partition 2 is slot A, partition 3 is slot B. The boot partition names one of
// them in the kernel's command line, in cmdline.txt for a Raspberry Pi and in
// loader/entries/gokrazy.conf for UEFI: the selected slot. The last 4096 bytes
// of each slot are no part of its file system: they can hold a [Record] of the
// update that was written there.
//
// # The way of an update
//
// A is selected and runs. Each step is on the card before the next begins.
//
//  1. B's record is cleared.                       Start
//  2. The new root is written to B, read back and
//     compared with what the owner has signed.
//  3. B's record becomes "armed".                  Arm
//  4. The box restarts, into A, as ever. A's init finds B armed, reads all of
//     it once more, and makes its record "tried".  Consume
//  5. A's init turns into B's: it mounts B in its own place, and starts the
//     other init there. A watch is left behind, see package trial.
//  6. B is well, and the boot partition selects it.    Select
//
// A power cut, a panic, a hang that ends with the hardware watchdog, or a root
// that cannot even be mounted lead back to the start of A at any step before
// the last, and from step 4 on B is not tried again. In step 6 the change is
// one byte in one sector of each of the two files; a machine reads only one of
// them, and both slots are good at that time. Where they were left different,
// the next start
// makes them alike again, before another update can come.
//
// What A's init starts in step 5 is signed by the owner, for this box and no
// other, and is not older than A, by the time that stands in A's own root file
// system: it looks itself, since the TSES may write all of B, and whoever has
// broken into the TSES may too. What the owner has ever signed for this box such
// a one cannot put back, with the holes that have been closed since, unless the
// owner has signed that it may replace A ([update.Header.Replaces]). That an
// administrator has to ask for it by name besides is the TSES's rule.
//
// The boot loaders know nothing of this, and the boot partition is written once
// for every update that has shown itself to be good, and never for another.
package slots

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/cloud-of-se/tses/update"
)

// Slot is one of the two places for a root file system.
type Slot int

// The slots. Their numbers are those of the kernel's PARTNROFF: the distance
// from the boot partition.
const (
	A Slot = 1
	B Slot = 2
)

// Other is the other slot.
func (s Slot) Other() Slot { return A + B - s }

// Partition is the number of the slot's partition.
func (s Slot) Partition() int { return int(s) + 1 }

// String is "A" or "B".
func (s Slot) String() string {
	switch s {
	case A:
		return "A"
	case B:
		return "B"
	}
	return fmt.Sprintf("slot %d", int(s))
}

// Medium is what a partition is on: a block device, or a file in a test.
type Medium interface {
	io.ReaderAt
	io.WriterAt
	// Sync returns when everything written is on the medium.
	Sync() error
}

// Partition is one that is open.
type Partition struct {
	Medium
	Size int64 // in bytes
}

// Open opens the partition of a path, such as /dev/mmcblk0p3. Close its file.
func Open(path string) (*Partition, *os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("open partition: %w", err)
	}
	size, err := f.Seek(0, io.SeekEnd)
	if err == nil && size < minSize {
		err = fmt.Errorf("%d bytes", size)
	}
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("size of partition %s: %w", path, err), f.Close())
	}
	return &Partition{f, size}, f, nil
}

// minSize is less than any partition has.
const minSize = 64 << 10

// room is how many bytes of a slot its file system may take.
func (p *Partition) room() int64 { return p.Size - update.Tail }
