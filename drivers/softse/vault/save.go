package vault

import (
	"crypto/rand"
	"fmt"
)

// Save makes state, at most [MaxState] bytes, the SE's state. When it returns
// nil the state survives a power cut, and no older one comes back. When it
// fails, the disk holds the old state or the new one; the File stays of use,
// and the next Save or Load settles which. It keeps no copy of state.
func (f *File) Save(state []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.save(state); err != nil {
		return f.explain("save", err)
	}
	return nil
}

func (f *File) save(state []byte) error {
	if f.closed {
		return ErrClosed
	}
	if len(state) > MaxState {
		return fmt.Errorf("%w: %d bytes where at most %d can be", ErrTooLarge, len(state), MaxState)
	}
	if !f.settled {
		if err := f.settle(); err != nil {
			return err
		}
	}
	sealed, place, err := f.sealer.seal(f.buf[:0], state, f.at.generation+1, f.at.tag)
	if err != nil {
		return err
	}
	f.buf, f.settled = sealed, false
	if err := f.write(sealed, place); err != nil {
		return err
	}
	f.settled = true
	return nil
}

// write is the order that the package comment explains.
func (f *File) write(sealed []byte, place link) (err error) {
	unlock, err := f.lockLedger(false)
	if err != nil {
		return err
	}
	defer func() {
		if e := unlock(); err == nil {
			err = e
		}
	}()
	if err := replace(f.disk, f.name(), sealed); err != nil {
		return err
	}
	if err := f.disk.SyncDir(); err != nil {
		return err
	}
	next := position{mark: markOf(place), page: 1 - f.at.page}
	if err := f.ledger.record(f.seid, next.page, next.mark); err != nil {
		return err
	}
	f.at = next
	return nil
}

// newMark says that no state is there. Its random tag begins a new chain, to
// which no file of an earlier one belongs.
func newMark(generation uint64) (mark, error) {
	m := mark{generation: generation, absent: true}
	_, err := rand.Read(m.tag[:])
	return m, err
}
