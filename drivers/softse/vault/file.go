package vault

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"sync"
	"time"

	"github.com/cloud-of-se/tses/drivers/softse/internal/disk"
)

// ledgerWait bounds the wait for another SE that is being listed, and so what
// a Save waits for besides the disk.
const ledgerWait = 10 * time.Second

// File is the sealed state of one SE. Its calls may come from any goroutine;
// each waits for the disk alone, and for at most 10 s until another SE of the
// directory is listed.
type File struct {
	mu      sync.Mutex
	disk    disk.Disk
	seid    string
	sealer  *sealer
	ledger  *ledger
	lock    io.Closer
	at      position // what the disk holds, where settled
	settled bool     // the disk is known: no Save failed since it was looked at
	buf     []byte   // the last sealed file: ciphertext, kept for its room
	closed  bool
}

// Open opens the state of one SE in a directory, which it makes where it is
// not there, and keeps other processes from it until Close. It checks the file
// against the ledger and fails with [ErrName], [ErrLocked], [ErrDirMode],
// [ErrDamaged], [ErrVersion], [ErrSwapped], [ErrRollback], [ErrMissing],
// [ErrLedger], or an error of the file system. A SEID that is new to the
// directory is listed in the ledger. The key is not used after Open.
func Open(dir string, key Key, seid string) (*File, error) {
	return settled(start(dir, key, seid))
}

func settled(f *File, err error) (*File, error) {
	if err != nil {
		return nil, err
	}
	if err := f.settle(); err != nil {
		return nil, errors.Join(f.explain("open", err), f.Close())
	}
	return f, nil
}

// OpenOn is Open on a directory that is open already, for the power-cut tests
// of the software SE; the File closes it. Packages outside cannot name a Disk.
func OpenOn(d disk.Disk, key Key, seid string) (*File, error) {
	if err := checkName(seid); err != nil {
		return nil, err
	}
	return settled(startOn(d, key, seid))
}

// start locks an SE without a look at its state.
func start(dir string, key Key, seid string) (*File, error) {
	if err := checkName(seid); err != nil {
		return nil, err
	}
	d, err := openDir(dir)
	if err != nil {
		return nil, fmt.Errorf("vault: open the state directory of %s: %w", seid, err)
	}
	f, err := startOn(d, key, seid)
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return f, nil
}

// startOn is start on a directory that is open; where it succeeds, the File
// closes it.
func startOn(d disk.Disk, key Key, seid string) (f *File, err error) {
	f = &File{disk: d, seid: seid}
	if f.sealer, err = newSealer(key, seid); err != nil {
		return nil, f.explain("open", err)
	}
	if f.ledger, err = newLedger(d, key); err != nil {
		return nil, f.explain("open", err)
	}
	if f.lock, err = d.Lock(f.name()+lockSuffix, true, 0); err != nil {
		f.ledger.wipe()
		return nil, f.explain("open", err)
	}
	return f, nil
}

func (f *File) name() string { return f.seid + stateSuffix }

func (f *File) explain(operation string, err error) error {
	return fmt.Errorf("vault: %s the state of %s: %w", operation, f.seid, err)
}

// Close lets other processes have the SE's state. Calls after it fail with
// [ErrClosed]; another Close does nothing.
func (f *File) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil
	}
	f.closed = true
	f.ledger.wipe()
	if err := errors.Join(f.lock.Close(), f.disk.Close()); err != nil {
		return f.explain("close", err)
	}
	return nil
}

// Load returns the state saved last, which the caller wipes. Where nothing was
// saved yet the error matches fs.ErrNotExist, and no other one does. After a
// Save that failed it is the state before it or the one that it was to save,
// and stays that one. Errors are those of [Open].
func (f *File) Load() ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	state, err := f.load()
	if err != nil {
		clear(state)
		return nil, f.explain("load", err)
	}
	return state, nil
}

func (f *File) load() ([]byte, error) {
	if f.closed {
		return nil, ErrClosed
	}
	if !f.settled {
		if err := f.settle(); err != nil {
			return nil, err
		}
	}
	state, link, err := f.read()
	if err != nil {
		return nil, err
	}
	switch v, err := judge(link, f.at); {
	case err != nil:
		return state, err
	case v == empty:
		return nil, fmt.Errorf("nothing was saved yet: %w", fs.ErrNotExist)
	case v == ahead: // not by this File, which would be unsettled
		return state, fmt.Errorf("%w: the file was changed while it was open", ErrLocked)
	}
	return state, nil
}

// read returns the state and its place in the chain, nil where there is no
// file.
func (f *File) read() (state []byte, l *link, err error) {
	r, err := open(f.disk, f.name(), false, ErrDamaged)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	sealed, err := readAll(r, maxSealed, ErrDamaged)
	if err = errors.Join(err, r.Close()); err != nil {
		return nil, nil, err
	}
	state, place, err := f.sealer.open(sealed)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: restore %s from a copy of its last state, or forget this SE", err, f.name())
	}
	return state, &place, nil
}

// settle finds out what the disk holds, makes it last, and brings the ledger
// up to a Save that was cut off.
func (f *File) settle() error {
	unlock, err := f.lockLedger(false)
	if err != nil {
		return err
	}
	listed, err := f.settleListed()
	if err = errors.Join(err, unlock()); err != nil || listed {
		return err
	}
	if unlock, err = f.lockLedger(true); err != nil {
		return err
	}
	return errors.Join(f.enlist(), unlock())
}

// settleListed is settle for an SE that the ledger knows.
func (f *File) settleListed() (listed bool, err error) {
	// What is read from here on must not be undone by a cut: a process that
	// was killed may have renamed and not got to this.
	if err := f.disk.SyncDir(); err != nil {
		return false, err
	}
	state, file, err := f.read()
	clear(state)
	if err != nil {
		return false, err
	}
	p, listed, err := f.ledger.find(f.seid)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err == nil && !listed && file != nil {
		err = ledgerError("it is gone, or does not know this SE, which has a state: restore it, or accept the file if it is the right one")
	}
	if err != nil || !listed {
		return listed, err
	}
	v, err := judge(file, p)
	if err != nil {
		return true, err
	}
	return true, f.catchUp(v, file, p)
}

// catchUp makes the ledger last at what was found, so that the next record may
// overwrite the page before it.
func (f *File) catchUp(v verdict, file *link, p position) error {
	switch {
	case v == ahead:
		p = position{mark: markOf(*file), page: 1 - p.page}
	case p.twin:
		f.at, f.settled = p, true // on the disk since it was listed
		return nil
	}
	// Where the page is there already, it may be in the system's memory alone,
	// after a process that was killed or a flush that failed. It is written
	// again because after a failed flush nothing else makes it last.
	if err := f.ledger.record(f.seid, p.page, p.mark); err != nil {
		return err
	}
	f.at, f.settled = p, true
	return nil
}

func markOf(l link) mark { return mark{generation: l.generation, tag: l.tag} }

// lockLedger also keeps others from replacing the ledger between a syncDir and
// a record: a record must not go to a file whose name may not last.
func (f *File) lockLedger(exclusive bool) (unlock func() error, err error) {
	l, err := f.disk.Lock(ledgerName+lockSuffix, exclusive, ledgerWait)
	if err != nil {
		return nil, err
	}
	return l.Close, nil
}

// enlist makes a SEID known that has no state. The first one makes the ledger;
// sealed files without a ledger are a loss that must not be covered up.
func (f *File) enlist() error {
	m, err := newMark(0)
	if err != nil {
		return err
	}
	err = f.ledger.list(f.seid, m, false)
	if errors.Is(err, fs.ErrNotExist) {
		if err = f.noStates(); err == nil {
			err = f.ledger.list(f.seid, m, true)
		}
	}
	if err != nil {
		return err
	}
	f.at, f.settled = position{mark: m, twin: true}, true
	return nil
}

// noStates fails where the directory holds a state of another SE.
func (f *File) noStates() error {
	names, err := f.disk.List()
	if err != nil {
		return err
	}
	for _, n := range names {
		if strings.HasSuffix(n, stateSuffix) && n != f.name() {
			return ledgerError("it is gone or damaged, and %s needs it: restore it, or accept that SE's file first", n)
		}
	}
	return nil
}
