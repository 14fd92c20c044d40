package vault

import "errors"

// The errors on which a caller decides. They come wrapped with the SE, the
// operation and what to do next. None of them matches fs.ErrNotExist, which
// says one thing only: this SE has no state yet.
var (
	// ErrName: the SEID is not 1 to 64 of A-Z a-z 0-9 . _ -
	ErrName = errors.New("the SEID cannot name a file")
	// ErrTooLarge: the state is longer than [MaxState].
	ErrTooLarge = errors.New("the state is too large")
	// ErrLocked: another process, or another [File], has this SE open.
	ErrLocked = errors.New("the SE's state is in use")
	// ErrUnknown: the directory has never known this SE.
	ErrUnknown = errors.New("there is no state of this name")
	// ErrTaken: the SEID has a state already.
	ErrTaken = errors.New("this SEID has a state already")
	// ErrClosed: the File is closed.
	ErrClosed = errors.New("the SE's state file is closed")
	// ErrDamaged: the sealed file is not one that this key sealed: changed,
	// cut short, or sealed with another key.
	ErrDamaged = errors.New("the sealed state is damaged or of another key")
	// ErrVersion: the sealed file has a format that this program does not know.
	ErrVersion = errors.New("the sealed state has an unknown format version")
	// ErrSwapped: the file is another SE's.
	ErrSwapped = errors.New("the sealed state is another SE's")
	// ErrRollback: the file is older than the one saved last.
	ErrRollback = errors.New("an older state was put back")
	// ErrMissing: the file is gone, and the ledger remembers it.
	ErrMissing = errors.New("the sealed state was deleted")
	// ErrLedger: the ledger is gone, changed, of another key, or older than
	// the files that it should know.
	ErrLedger = errors.New("the ledger does not match the sealed states")
	// ErrKeyFile: the key file is not 32 random bytes.
	ErrKeyFile = errors.New("the key file is not a key")
	// ErrKeyMode: the key file is open to other users of the machine.
	ErrKeyMode = errors.New("the key file is accessible to others")
	// ErrDirMode: every user of the machine may write to the directory.
	ErrDirMode = errors.New("the state directory is writable by others")
)
