package vault

import (
	"errors"
	"fmt"
	"io/fs"
)

// Accept is the operator's word that the file which is there is the state to
// go on with, after [Open] failed with [ErrRollback] or [ErrLedger]: a backup
// was put back on purpose, or the ledger is lost. It seals the state anew as
// the newest, so that every other file of this SE is an older one from then
// on. The retry counters are those of the accepted state: who accepts a
// rollback gives back the tries that were used up since.
//
// The file must be authentic and this SE's: Accept fails with [ErrDamaged],
// [ErrSwapped] and the like as Open does, and with fs.ErrNotExist where there
// is none. A state that Open takes is left as it is. Where the ledger is lost
// altogether, a new one is made that knows this SE alone, and the others are
// to be accepted one by one. The SE must not be open.
func Accept(dir string, key Key, seid string) error {
	return decide(dir, key, seid, "accept", (*File).accept)
}

// Forget is the operator's word that an SE is to begin without a state, after
// [Open] failed with [ErrMissing], [ErrDamaged] or any other. What it held is
// lost: the file is removed. The ledger keeps the SEID, so that an old file
// that is put back later is told from a new one. It fails with [ErrLedger]
// where the ledger is lost while other SEs have states: accept those first.
// Where the key is lost nothing can be accepted or forgotten, and the
// directory as a whole is to be removed. The SE must not be open.
func Forget(dir string, key Key, seid string) error {
	return decide(dir, key, seid, "forget", (*File).forget)
}

func decide(dir string, key Key, seid, operation string, do func(*File) error) error {
	f, err := start(dir, key, seid)
	if err != nil {
		return err
	}
	if err := do(f); err != nil {
		return errors.Join(f.explain(operation, err), f.Close())
	}
	return f.Close()
}

func (f *File) accept() error {
	state, file, err := f.read()
	defer clear(state)
	if err != nil {
		return err
	}
	if file == nil {
		return fmt.Errorf("%s: %w: put the file back, or forget this SE", f.name(), fs.ErrNotExist)
	}
	err = f.settle()
	if err == nil || !errors.Is(err, ErrRollback) && !errors.Is(err, ErrLedger) {
		return err
	}
	m := markOf(*file)
	if p, listed, err := f.ledger.find(f.seid); err == nil && listed {
		// Above all that was ever acknowledged, so that none of it passes.
		m.generation = max(m.generation, p.generation+1)
	}
	if err := f.relist(m); err != nil {
		return err
	}
	return f.save(state)
}

// relist makes the ledger say m of this SE in both pages, so that the next
// Save goes on from there.
func (f *File) relist(m mark) error {
	unlock, err := f.lockLedger(true)
	if err != nil {
		return err
	}
	err = f.ledger.list(f.seid, m, true)
	if err = errors.Join(err, unlock()); err != nil {
		return err
	}
	f.at, f.settled = position{mark: m, twin: true}, true
	return nil
}

func (f *File) forget() error {
	p, _, err := f.ledger.find(f.seid)
	if err != nil && !lost(err) {
		return err
	}
	// Only what the ledger says of this SE may be lost with it.
	if _, _, err := f.ledger.readWhole(); err != nil {
		if err := f.noStates(); err != nil {
			return err
		}
	}
	// One above the last, for what a torn page may have recorded, and one for
	// this: no file of before can be the successor of it.
	m, err := newMark(p.generation + 2)
	if err != nil {
		return err
	}
	// A cut in between leaves the file missing or a rollback, whichever of the
	// two lasted: an alarm still, and the operator's to forget again.
	if err := f.disk.Remove(f.name()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return f.relist(m) // its syncDir is for the removal too
}
