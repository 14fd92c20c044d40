package vault

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
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
// directory as a whole is to be removed. Of an SE that the directory has never
// known it fails with [ErrUnknown]. The SE must not be open.
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
	p, listed, err := f.ledger.find(f.seid)
	if err != nil && !lost(err) {
		return err
	}
	if !listed && (err == nil || errors.Is(err, fs.ErrNotExist)) {
		// A name that was mistyped is not to be listed for ever.
		names, err := f.disk.List()
		if err != nil {
			return err
		}
		if !slices.Contains(names, f.name()) {
			return ErrUnknown
		}
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

// Rename gives the state of one SE to another SEID that has none, for who has
// renamed the SE. It fails with [ErrTaken] where that has one, with fs.ErrNotExist
// where there is nothing to be given, and else as [Open] does. Where it is cut
// short both may have the state: forget either then. Neither SE must be open.
func Rename(dir string, key Key, from, to string) (err error) {
	if from == to {
		return fmt.Errorf("vault: rename the state of %s: %w", from, ErrTaken)
	}
	names, err := Names(dir)
	if err != nil {
		return err
	}
	if !slices.Contains(names, from) {
		return fmt.Errorf("vault: rename the state of %s: %w", from, fs.ErrNotExist)
	}
	if slices.Contains(names, to) {
		return fmt.Errorf("vault: rename the state of %s: %w: %s", from, ErrTaken, to)
	}
	if err := give(dir, key, from, to); err != nil {
		return err
	}
	return Forget(dir, key, from)
}

// give saves the state of one SE as that of another.
func give(dir string, key Key, from, to string) (err error) {
	old, err := Open(dir, key, from)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, old.Close()) }()
	state, err := old.Load()
	if err != nil {
		return err
	}
	defer clear(state)
	own, err := Open(dir, key, to)
	if err != nil {
		return err
	}
	return errors.Join(own.Save(state), own.Close())
}

// Names lists the SEIDs that have a state in a directory, in their order. Nothing
// is said of whether the states can be opened. Where there is no directory there
// is none.
func Names(dir string) (seids []string, err error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("vault: list the states: %w", err)
	}
	for _, e := range entries {
		seid, ok := strings.CutSuffix(e.Name(), stateSuffix)
		if ok && checkName(seid) == nil {
			seids = append(seids, seid)
		}
	}
	return seids, nil
}
