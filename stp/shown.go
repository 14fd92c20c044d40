package stp

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/cloud-of-se/tses/access"
	"github.com/cloud-of-se/tses/drivers"
	"github.com/cloud-of-se/tses/grid"
)

// shown is an error of an SE as the session's client may see it, whatever door
// tells it. Who has the administrative plane sees all of it. Others do not see
// where things are in this machine; and who may see an SE by an alias alone does
// not see the SEID that this stands for, which drivers name, nor who has it. What
// is left out is in the log. errors.Is and errors.As find what they have found.
func (s *Session) shown(asked, canonical string, err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	switch {
	case !s.cred.MaySee(canonical):
		if inUse := (*grid.InUseError)(nil); errors.As(err, &inUse) {
			return anonymous(asked, inUse)
		}
		text = asked + ": " + kinds(err)
	case s.cred.Planes&access.Administrative == 0:
		text = withoutPaths(text, err)
	}
	if text == err.Error() {
		return err
	}
	s.log.Warn("not all of an error is told to the client", "seid", canonical, "err", err)
	return &shownError{text, err}
}

// shownError is an error with another text.
type shownError struct {
	text string
	err  error
}

func (e *shownError) Error() string { return e.text }
func (e *shownError) Unwrap() error { return e.err }

var errKeeps = errors.New("power does not clear it")

// anonymous tells under the name that was asked for that an SE is another's.
func anonymous(asked string, e *grid.InUseError) error {
	told := &grid.InUseError{SEID: asked, Since: e.Since}
	if e.Why != nil {
		told.Why = errKeeps
	}
	return told
}

// kinds are what an error is, without what else it says.
func kinds(err error) string {
	var is []string
	for _, kind := range []error{
		grid.ErrUnknown, grid.ErrClosed, grid.ErrFreed, drivers.ErrNoCard, drivers.ErrRemoved, drivers.ErrPoweredOff, drivers.ErrMute,
		drivers.ErrProtocol, context.Canceled, context.DeadlineExceeded, drivers.ErrOutcomeUnknown,
	} {
		if errors.Is(err, kind) {
			is = append(is, kind.Error())
		}
	}
	if len(is) == 0 {
		return "it has failed; the log of the server says why"
	}
	return strings.Join(is, ": ")
}

// somewhere stands for a path.
const somewhere = "(a path of the server)"

// pathLike is a word with a slash in it.
var pathLike = regexp.MustCompile(`[^\s"'(),;:=\[\]]*/[^\s"'(),;:=\[\]]*`)

// noPath are words with a slash in them that name standards and protocols.
var noPath = regexp.MustCompile(`^[A-Z0-9]+/[A-Z0-9]+$`)

// withoutPaths leaves out where files and devices are: those that the errors name,
// which may have spaces in them, and all that looks so.
func withoutPaths(text string, err error) string {
	if !strings.Contains(text, "/") {
		return text
	}
	paths := slices.DeleteFunc(pathsOf(err), func(path string) bool { return !strings.Contains(path, "/") })
	for _, path := range paths {
		text = strings.ReplaceAll(text, path, somewhere)
	}
	return pathLike.ReplaceAllStringFunc(text, func(word string) string {
		if word == "/" || noPath.MatchString(word) {
			return word
		}
		return somewhere
	})
}

// pathsOf are the paths in a tree of errors.
func pathsOf(err error) []string {
	var paths []string
	switch e := err.(type) {
	case *fs.PathError:
		paths = append(paths, e.Path)
	case *os.LinkError:
		paths = append(paths, e.Old, e.New)
	}
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		if below := e.Unwrap(); below != nil {
			paths = append(paths, pathsOf(below)...)
		}
	case interface{ Unwrap() []error }:
		for _, below := range e.Unwrap() {
			paths = append(paths, pathsOf(below)...)
		}
	}
	return paths
}
