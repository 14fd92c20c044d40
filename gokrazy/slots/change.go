package slots

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/cloud-of-se/tses/update"
)

// A boot partition that comes with an update waits behind the root in its slot.
// When the update has been confirmed, the card's boot partition is overwritten
// in place, where it differs, and goes on naming the slot that runs. A power cut
// while that lasts can leave a box that does not start: there is no second boot
// partition, and the boot loaders look at no other. Nor is a boot partition ever
// on trial as a root is: one whose kernel does not start leaves a box that does
// not start, without any power cut. That is why it has to be asked for by name.

// staged is the boot partition that waits in a slot, naming the slot s.
type staged struct {
	io.ReaderAt
	digits []digit
	s      Slot
}

func openStaged(p *Partition, h *update.Header, s Slot) (*staged, error) {
	part := io.NewSectionReader(p, bootOffset(h), h.Boot.Size)
	all, err := digits(&Partition{readOnly{part}, h.Boot.Size})
	if err != nil {
		return nil, fmt.Errorf("the update's boot partition: %w", err)
	}
	return &staged{part, all, s}, nil
}

var errReadOnly = errors.New("it is not to be written")

// readOnly is a medium that is not to be written.
type readOnly struct{ io.ReaderAt }

func (readOnly) WriteAt([]byte, int64) (int, error) { return 0, errReadOnly }
func (readOnly) Sync() error                        { return nil }

// ReadAt reads it as it is to be on the card.
func (b *staged) ReadAt(buf []byte, at int64) (int, error) {
	n, err := b.ReaderAt.ReadAt(buf, at)
	for _, d := range b.digits {
		if i := d.at - at; 0 <= i && i < int64(n) {
			buf[i] = d.base + byte(b.s-A)
		}
	}
	return n, err
}

// changePiece is how much is compared, and written where it differs.
const changePiece = 64 << 10

// ChangeBoot makes the card's boot partition the one that waits in slot s, if
// one does. It tells whether anything was written, with an error too: the
// boot partition is of both kinds then, and ChangeBoot is to be called again.
// What was interrupted it completes. Before the first byte is written, what waits
// is read whole and compared with what the owner has signed: it has been on a
// card since, perhaps for years, and fails with [ErrReadBack] if it is another.
func ChangeBoot(boot, p *Partition, h *update.Header, s Slot) (changed bool, err error) {
	if h.Boot == nil {
		return false, nil
	}
	if h.Boot.Size > boot.Size {
		return false, fmt.Errorf("%w: a boot partition of %d bytes where there is room for %d", ErrRoom, h.Boot.Size, boot.Size)
	}
	// Where writing has failed before, memory can hold what the medium does not.
	if err := errors.Join(forget(boot.Medium), forget(p.Medium)); err != nil {
		return false, fmt.Errorf("boot partition: %w", err)
	}
	want, err := openStaged(p, h, s)
	if err != nil {
		return false, errors.Join(err, checkStaged(io.Discard, p, h))
	}
	// One that cannot be read was begun to be overwritten before.
	if now, err := digits(boot); err == nil && now[0].disk != want.digits[0].disk {
		return false, fmt.Errorf("the update's boot partition is for the disk %s, this is %s: %w", want.digits[0].disk, now[0].disk, ErrBoot)
	}
	a, b := make([]byte, changePiece), make([]byte, changePiece)
	for at := int64(0); at < h.Boot.Size; at += changePiece {
		n := min(changePiece, h.Boot.Size-at)
		if _, err := want.ReadAt(a[:n], at); err != nil {
			return changed, fmt.Errorf("the update's boot partition: %w", err)
		}
		if _, err := boot.ReadAt(b[:n], at); err != nil {
			return changed, fmt.Errorf("boot partition: %w", err)
		}
		if bytes.Equal(a[:n], b[:n]) {
			continue
		}
		if !changed {
			if err := checkStaged(io.Discard, p, h); err != nil {
				return false, fmt.Errorf("the update's boot partition: %w", err)
			}
		}
		changed = true
		if _, err := boot.WriteAt(a[:n], at); err != nil {
			return changed, fmt.Errorf("boot partition: %w", err)
		}
	}
	if err := boot.Sync(); err != nil {
		return changed, fmt.Errorf("boot partition: %w", err)
	}
	return changed, nil
}
