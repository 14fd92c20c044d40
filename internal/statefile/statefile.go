// Package statefile opens, reads and replaces the files that a TSES and its
// owner keep, and those that they are given.
//
// What stands in the place of such a file need not be one. A FIFO would be
// waited for without an end, a link shows something else than what was meant,
// a device does something when it is opened, a file with three gigabytes of
// holes does not fit into memory, and one that others own or can write says what
// they want. A [Rule] says what a file has to be. It is judged before the file
// is opened and again on what was opened, so that nothing waits and nothing
// changes in between.
//
// A file with several names, a hard link, is one file: its owner and its mode are
// those of all its names, and judged. Only what is changed in place has to have
// one name, see [Edit].
package statefile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// Why a file is not taken for what it should be. The errors name the file and
// say what to do.
var (
	ErrKind  = errors.New("not a regular file")
	ErrSize  = errors.New("too large")
	ErrOwner = errors.New("somebody else's file")
	ErrMode  = errors.New("open to others")
	ErrNames = errors.New("it has other names")
)

// Rule is what a file has to be besides a regular one.
type Rule struct {
	Max   int64       // bytes; 0: any number
	Shut  fs.FileMode // permissions that it must not give
	Ours  bool        // it is of the user who runs the program, or of root
	Links bool        // its name may be a symbolic link
}

// Secret is for keys, credentials, and what decides who comes in: nobody else
// may read it.
func Secret(limit int64) Rule { return Rule{Max: limit, Shut: 0o077, Ours: true} }

// Kept is for what others may read: nobody else may write it.
func Kept(limit int64) Rule { return Rule{Max: limit, Shut: 0o022, Ours: true} }

// Left is for what another program has left, whoever that ran as.
func Left(limit int64) Rule { return Rule{Max: limit} }

// Given is for what a person names: a configuration, a file of certificates.
// They may have put a link there, and may have it from somebody else, but not
// everybody may write it.
func Given(limit int64) Rule { return Rule{Max: limit, Shut: 0o002, Links: true} }

// Linked is the rule for a file that a person names, who may name a link.
func (r Rule) Linked() Rule {
	r.Links = true
	return r
}

// Open opens a file for reading. It never waits for one.
func (r Rule) Open(path string) (*os.File, error) {
	return r.open(path, os.O_RDONLY, 0)
}

// Read reads a whole file. Nothing of it is left in memory but what is returned,
// which the caller clears where it is secret.
func (r Rule) Read(path string) ([]byte, error) {
	f, err := r.Open(path)
	if err != nil {
		return nil, err
	}
	text, err := r.readAll(f)
	return text, errors.Join(err, f.Close())
}

func (r Rule) readAll(f *os.File) ([]byte, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	text := make([]byte, info.Size()+1) // one more tells that it grows
	n, err := io.ReadFull(f, text)
	switch {
	case err == nil:
		err = fmt.Errorf("%s was changed while it was read; try again", f.Name())
	case err == io.EOF || err == io.ErrUnexpectedEOF:
		return text[:n], nil
	}
	clear(text)
	return nil, err
}

// open looks at what stands there before it opens it, because opening is an act
// where that is a device, and again at what it has opened.
func (r Rule) open(path string, flag int, mode fs.FileMode) (*os.File, error) {
	look := os.Lstat
	if r.Links {
		look = os.Stat
	} else {
		flag |= noFollow
	}
	info, err := look(path)
	if failed := new(fs.PathError); errors.As(err, &failed) {
		failed.Op = "open"
	}
	if err == nil {
		err = r.Judge(path, info)
	}
	if err != nil && !(flag&os.O_CREATE != 0 && errors.Is(err, fs.ErrNotExist)) {
		return nil, err
	}
	f, err := os.OpenFile(path, flag|NoWait, mode)
	if err != nil {
		return nil, err
	}
	if info, err = f.Stat(); err == nil {
		err = r.Judge(path, info)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// Judge tells by one of this package's errors why a file is not what the rule
// says. The path is for the error.
func (r Rule) Judge(path string, info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is %s: %w; move it away, and put the file in its place", path, kind(info.Mode()), ErrKind)
	}
	if r.Ours && foreign(info) {
		return fmt.Errorf("%s: %w: user %[3]d owns it, and this program runs as user %[4]d; run it as user %[3]d, or, if what it holds is right, chown %[4]d %[1]s", path, ErrOwner, owner(info), os.Geteuid())
	}
	if open := info.Mode().Perm() & r.Shut; judgesModes && open != 0 {
		return fmt.Errorf("%s: %w (mode %04o): %s", path, ErrMode, info.Mode().Perm(), r.shutAdvice(path, open))
	}
	if r.Max > 0 && info.Size() > r.Max {
		return fmt.Errorf("%s: %w: it has %d bytes, and at most %d can be right; restore it from a copy", path, ErrSize, info.Size(), r.Max)
	}
	return nil
}

func (r Rule) shutAdvice(path string, open fs.FileMode) string {
	switch {
	case r.Shut&0o044 != 0 && open&0o044 != 0:
		return "find out who read it, then chmod 600 " + path
	case r.Shut&0o044 != 0:
		return "find out who wrote it, then chmod 600 " + path
	case r.Shut&0o020 != 0:
		return "find out who wrote it, then chmod go-w " + path
	}
	return "find out who wrote it, then chmod o-w " + path
}

func kind(mode fs.FileMode) string {
	switch mode.Type() {
	case fs.ModeDir:
		return "a directory"
	case fs.ModeSymlink:
		return "a symbolic link"
	case fs.ModeNamedPipe:
		return "a FIFO"
	case fs.ModeSocket:
		return "a socket"
	}
	return "a device"
}

// CheckDir tells whether a directory is one that nobody else can change. Its
// name may be a link: where things are kept a person decides.
func CheckDir(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	switch {
	case !info.IsDir():
		return fmt.Errorf("%s is %s and no directory; move it away, or name another", path, kindOfFile(info.Mode()))
	case foreign(info):
		return fmt.Errorf("%s: %w: user %[3]d owns this directory, and this program runs as user %[4]d; run it as user %[3]d, or, if what it holds is right, chown -R %[4]d %[1]s", path, ErrOwner, owner(info), os.Geteuid())
	case judgesModes && info.Mode().Perm()&0o022 != 0:
		return fmt.Errorf("%s: %w (mode %04o): others can replace what this directory holds; chmod 700 %[1]s", path, ErrMode, info.Mode().Perm())
	}
	return nil
}

func kindOfFile(mode fs.FileMode) string {
	if mode.IsRegular() {
		return "a file"
	}
	return kind(mode)
}
