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
)

// sink is the log of the box: two files that take turns, so that they never take
// more than twice their size, and the console, as far as that can follow. What is
// written before there is a place for files is kept until then.
type sink struct {
	console *console

	mu     sync.Mutex
	dir    string
	file   *os.File // nil: not yet, or no more
	size   int
	early  []byte
	missed int // how many early lines found no room
}

const (
	logFile  = "tses.log"
	oldFile  = "tses.log.1"
	maxLog   = 1 << 20 // bytes of each
	maxEarly = 256 << 10
)

func newSink(w io.Writer) *sink { return &sink{console: newConsole(w)} }

// Write never fails: a box whose log cannot be written serves on. It waits for
// the file and never for the console.
func (s *sink) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.file != nil:
		s.append(p)
	case s.dir != "": // there is none any more
	case s.missed == 0 && len(s.early)+len(p) <= maxEarly:
		s.early = append(s.early, p...)
	default:
		s.missed += bytes.Count(p, []byte("\n"))
	}
	_, _ = s.console.Write(p) // it never fails
	return len(p), nil
}

// append writes to the file, and tells the console alone when it cannot.
func (s *sink) append(p []byte) {
	if s.size+len(p) > maxLog {
		if err := s.rotate(); err != nil {
			s.give(err)
			return
		}
	}
	n, err := s.file.Write(p)
	s.size += n
	if err != nil {
		s.give(err)
	}
}

// give up the file: the console remains.
func (s *sink) give(err error) {
	fmt.Fprintf(s.console, "log: %v; the console alone has it from now on\n", err)
	if s.file != nil {
		_ = s.file.Close() // it has failed already
	}
	s.file = nil
}

func (s *sink) rotate() error {
	path := filepath.Join(s.dir, logFile)
	err := s.file.Close()
	s.file = nil
	if err = errors.Join(err, os.Rename(path, filepath.Join(s.dir, oldFile))); err != nil {
		return err
	}
	s.file, err = os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY|os.O_APPEND, 0o600)
	s.size = 0
	return err
}

// open begins to write files in a directory, with what was written so far.
func (s *sink) open(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(dir, logFile), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dir, s.file, s.size = dir, f, int(info.Size())
	early := s.early
	if s.missed > 0 {
		early = fmt.Appendf(early, "log: %d lines more came before there was a file, and are not here\n", s.missed)
	}
	s.early = nil
	s.append(early)
	return nil
}

// close ends the file; what is written then is on the console alone.
func (s *sink) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file == nil {
		return nil
	}
	f := s.file
	s.file = nil
	return errors.Join(f.Sync(), f.Close())
}
