//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/cloud-of-se/tses/internal/journal"
	"github.com/cloud-of-se/tses/internal/statefile"
)

// sink is the log of the box: files on the card, and the console. Nobody waits for
// either: a card that hangs, and a console that is stopped, miss lines, and say how
// many. What is written before there is a place for files is kept until then.
type sink struct {
	console *journal.Writer

	mu     sync.Mutex
	file   *journal.Writer // nil: not yet
	early  []byte
	missed int // how many early lines found no room
}

const (
	logFile  = "tses.log"
	oldFile  = "tses.log.1"
	maxLog   = 1 << 20 // bytes of each
	maxEarly = 256 << 10
	maxUnput = 512 << 10 // what waits for the card, which all that is early is part of
)

func newSink(w io.Writer) *sink { return &sink{console: newConsole(w)} }

// Write never waits and never fails: a box whose log cannot be written serves on.
func (s *sink) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.file != nil:
		_, _ = s.file.Write(p) // it never fails
	case s.missed == 0 && len(s.early)+len(p) <= maxEarly:
		s.early = append(s.early, p...)
	default:
		s.missed += bytes.Count(p, []byte("\n"))
	}
	_, _ = s.console.Write(p) // it never fails
	return len(p), nil
}

// open begins to write files in a directory, with what was written so far.
func (s *sink) open(dir string) error {
	f, err := openFiles(dir, s.console)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.file = journal.New(f, journal.Options{Room: maxUnput, End: f.close, Lost: func(lines int) string {
		return fmt.Sprintf("log: %d lines are not here: the card is too slow for them\n", lines)
	}})
	early := s.early
	if s.missed > 0 {
		early = fmt.Appendf(early, "log: %d lines more came before there was a file, and are not here\n", s.missed)
	}
	s.early = nil
	_, _ = s.file.Write(early) // it never fails
	return nil
}

// close ends the files within a limit; what is written then is on the console
// alone.
func (s *sink) close(limit time.Duration) error {
	s.mu.Lock()
	file := s.file
	s.mu.Unlock()
	if file == nil {
		return nil
	}
	return file.Close(limit)
}

// files are two that take turns, so that they never take more than twice their
// size. They are written to by one goroutine.
type files struct {
	dir     string
	console io.Writer
	file    *os.File // nil: no more
	size    int
}

func openFiles(dir string, console io.Writer) (*files, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	f, err := statefile.Edit(filepath.Join(dir, logFile), os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &files{dir: dir, console: console, file: f, size: int(info.Size())}, nil
}

// Write writes as many lines at once as have room in the file. It tells the console
// alone when it cannot, and never fails: there would be no sense in trying again.
func (f *files) Write(p []byte) (int, error) {
	for rest := p; f.file != nil && len(rest) > 0; {
		n := fitting(rest, maxLog-f.size)
		if n == 0 {
			if err := f.rotate(); err != nil {
				f.give(err)
				break
			}
			n = max(fitting(rest, maxLog), min(len(rest), maxLog))
		}
		written, err := f.file.Write(rest[:n])
		f.size += written
		if err != nil {
			f.give(err)
		}
		rest = rest[n:]
	}
	return len(p), nil
}

// fitting is the length of the lines at the beginning of p that have room.
func fitting(p []byte, room int) int {
	if len(p) <= room {
		return len(p)
	}
	return bytes.LastIndexByte(p[:max(room, 0)], '\n') + 1
}

// give up the file: the console remains.
func (f *files) give(err error) {
	fmt.Fprintf(f.console, "log: %v; the console alone has it from now on\n", err)
	if f.file != nil {
		_ = f.file.Close() // it has failed already
	}
	f.file = nil
}

func (f *files) rotate() error {
	path := filepath.Join(f.dir, logFile)
	err := f.file.Close()
	f.file = nil
	if err = errors.Join(err, os.Rename(path, filepath.Join(f.dir, oldFile))); err != nil {
		return err
	}
	f.file, err = statefile.Edit(path, os.O_EXCL|os.O_APPEND, 0o600)
	f.size = 0
	return err
}

func (f *files) close() error {
	if f.file == nil {
		return nil
	}
	file := f.file
	f.file = nil
	return errors.Join(file.Sync(), file.Close())
}
