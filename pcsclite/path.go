package pcsclite

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"
)

// ErrServed says that another server has the socket and answers.
var ErrServed = errors.New("another server has this socket")

// listenAt makes the socket at a path that was chosen.
func (s *Server) listenAt(path string) error {
	dir := filepath.Dir(path)
	info, err := os.Lstat(dir)
	switch {
	case err != nil:
		return fmt.Errorf("the socket's directory: %w", err)
	case !filepath.IsAbs(path) || len(path) >= maxPath:
		return fmt.Errorf("the path %q: want an absolute one of less than %d bytes", path, maxPath)
	case !private(info):
		return fmt.Errorf("%s must be a directory of this user with mode 0700: others could take the place of the socket", dir)
	}
	if err := takeOver(path); err != nil {
		return err
	}
	if s.ln, err = net.Listen("unix", path); err != nil {
		return err
	}
	s.path = path
	if err := os.Chmod(path, 0o600); err != nil {
		return errors.Join(err, s.ln.Close())
	}
	return nil
}

// takeOver removes the socket of a server that is gone, and nothing else.
func takeOver(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode()&os.ModeSocket == 0:
		return fmt.Errorf("%s is there, and is no socket; choose another path", path)
	}
	conn, err := net.DialTimeout("unix", path, 5*time.Second)
	if err == nil {
		_ = conn.Close() // it has told what it was made for
		return fmt.Errorf("%w: %s; end it, or choose another path", ErrServed, path)
	}
	return os.Remove(path)
}
