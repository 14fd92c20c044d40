package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/cloud-of-se/tses/access"
	"github.com/cloud-of-se/tses/internal/statefile"
)

// firstLife is how long the credentials of the first run are valid.
const firstLife = 2 * 365 * 24 * time.Hour

const credentialsDir = "credentials"

// openState opens the state directory, and makes on the first run what is
// missing: the directory, the CA, the credentials of an administrator and of a
// user. lock keeps other servers out until it is closed.
func openState(dir string) (a *access.Authority, lock *os.File, err error) {
	if err := os.MkdirAll(filepath.Join(dir, credentialsDir), 0o700); err != nil {
		return nil, nil, fmt.Errorf("state directory: %w", err)
	}
	if lock, err = lockState(dir); err != nil {
		return nil, nil, err
	}
	a, err = access.OpenAuthority(dir)
	if errors.Is(err, access.ErrNoAuthority) {
		a, err = access.CreateAuthority(dir)
	}
	if err == nil {
		err = firstCredentials(a, dir)
	}
	if err != nil {
		return nil, nil, errors.Join(err, lock.Close())
	}
	return a, lock, nil
}

// lockState makes sure that nobody else can change a state directory, and that
// one server at a time uses it.
func lockState(dir string) (*os.File, error) {
	if err := statefile.CheckDir(dir); err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	lock, err := statefile.Lock(context.Background(), filepath.Join(dir, "lock"), 0)
	switch {
	case errors.Is(err, statefile.ErrLocked):
		return nil, fmt.Errorf("state directory %s is in use by another TSES; stop it, or use -state with another directory", dir)
	case err != nil:
		return nil, fmt.Errorf("state directory: %w", err)
	}
	return lock, nil
}

// firstCredentials issues admin and user once. Who has moved their files away
// does not get them again, and files that are there are never replaced.
func firstCredentials(a *access.Authority, dir string) error {
	entries, err := a.Registry().Entries()
	if err != nil {
		return err
	}
	for _, first := range []access.Order{
		{Name: "admin", Planes: access.User | access.Administrative, Life: firstLife},
		{Name: "user", Planes: access.User, Life: firstLife},
	} {
		known := slices.ContainsFunc(entries, func(e access.Entry) bool { return e.Name == first.Name })
		if err := firstCredential(a, first, filepath.Join(dir, credentialsDir, first.Name+".pem"), known); err != nil {
			return err
		}
	}
	return nil
}

// firstCredential issues one of them by way of a file PATH.part, which shows
// at the next start that a power cut came between its entry in the registry
// and its file. The credential that was lost so is revoked.
func firstCredential(a *access.Authority, o access.Order, path string, known bool) error {
	part := path + ".part"
	_, errPath := os.Lstat(path)
	_, errPart := os.Lstat(part)
	cut := errPart == nil
	switch {
	case errPath == nil && cut: // it came between the last two steps
		return os.Remove(part)
	case errPath == nil || known && !cut:
		return nil
	case cut:
		if _, err := a.Registry().Revoke(o.Name); err != nil && !errors.Is(err, access.ErrNoCredential) {
			return err
		}
		if err := os.Remove(part); err != nil {
			return err
		}
	}
	if _, err := issueFile(a, o, part); err != nil {
		return err
	}
	// A link, unlike a renaming, replaces nothing.
	if err := os.Link(part, path); err != nil {
		return err
	}
	return errors.Join(os.Remove(part), statefile.SyncDir(filepath.Dir(path)))
}

// issueFile issues a credential into a file of mode 0600 that must not be
// there yet.
func issueFile(a *access.Authority, o access.Order, path string) (*access.Credential, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("credential %q: %s is there already; give -out another name or move it away", o.Name, path)
	}
	if err != nil {
		return nil, fmt.Errorf("credential %q: %w", o.Name, err)
	}
	// The name is on the disk before the registry has the credential.
	if err := statefile.SyncDir(filepath.Dir(path)); err != nil {
		return nil, errors.Join(fmt.Errorf("credential %q: %w", o.Name, err), f.Close(), os.Remove(path))
	}
	c, pem, err := a.Issue(o)
	defer clear(pem)
	if err == nil {
		_, err = f.Write(pem)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, errors.Join(fmt.Errorf("credential %q: %w", o.Name, err), os.Remove(path))
	}
	return c, nil
}

// serverNames are what the server's certificate is for: the host's name,
// loopback, the configured names, and the address that is listened on, or all
// of the host's where that is every one.
func serverNames(c config, listen net.Addr) []string {
	names := []string{"localhost", "127.0.0.1", "::1"}
	if host, err := os.Hostname(); err == nil && host != "" {
		names = append(names, host)
	}
	names = append(names, c.Names...)
	if tcp, ok := listen.(*net.TCPAddr); ok && !tcp.IP.IsUnspecified() {
		names = append(names, tcp.IP.String())
	} else if ok {
		names = append(names, hostAddresses()...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func hostAddresses() []string {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil // the names remain
	}
	var all []string
	for _, a := range addrs {
		if ip, ok := a.(*net.IPNet); ok && ip.IP.IsGlobalUnicast() {
			all = append(all, ip.IP.String())
		}
	}
	return all
}
