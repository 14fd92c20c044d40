package vault

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/cloud-of-se/tses/drivers/softse/internal/disk"
)

// KeySize is the length of the state's key and of every key derived from it,
// in bytes.
const KeySize = 32

// Key is the key of a state directory. It is an interface, so that hardware
// may hold it and derive without giving it away.
type Key interface {
	// Derive returns KeySize bytes that are the same for the same purpose and
	// SEID, and tell nothing of the key or of what it yields for others. The
	// caller wipes them.
	Derive(purpose, seid string) ([]byte, error)
}

// SecretKey is a Key in memory. It prints as a fixed text.
type SecretKey struct{ secret [KeySize]byte }

// NewKey makes a Key of KeySize secret bytes, which stay the caller's to wipe.
// It fails with [ErrKeyFile] on another length, or if all are zero, as a file
// is of which a power cut left the length alone.
func NewKey(secret []byte) (*SecretKey, error) {
	if len(secret) != KeySize {
		return nil, fmt.Errorf("%w: it has %d bytes and not %d", ErrKeyFile, len(secret), KeySize)
	}
	k := &SecretKey{secret: [KeySize]byte(secret)}
	if k.secret == [KeySize]byte{} {
		return nil, fmt.Errorf("%w: it is all zero", ErrKeyFile)
	}
	return k, nil
}

// Derive is HKDF-SHA-256 (RFC 5869) without salt over purpose and SEID.
func (k *SecretKey) Derive(purpose, seid string) ([]byte, error) {
	// The zero byte is in no purpose, so no two pairs make the same info.
	return hkdf.Key(sha256.New, k.secret[:], nil, "tses "+purpose+"\x00"+seid, KeySize)
}

// Wipe overwrites the key. Files that are open have derived theirs and go on.
func (k *SecretKey) Wipe() { clear(k.secret[:]) }

// Format keeps the key out of logs, whatever the verb.
func (k *SecretKey) Format(s fmt.State, _ rune) {
	_, _ = s.Write([]byte("vault.SecretKey(...)")) // a fmt.State reports nothing that could be handled here
}

// LoadKey reads the state's key from its file and, on first use, makes it: 32
// random bytes, mode 0600, in a directory that it makes with mode 0700. When
// it returns, a power cut no longer takes the key away. A file that others may
// read is refused ([ErrKeyMode]) rather than mended: whoever read it has the
// key, and the operator should know. A file that is no key is refused
// ([ErrKeyFile]) and never replaced, because it may be all there is of one.
func LoadKey(path string) (*SecretKey, error) {
	d, err := openDir(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("vault: key file %s: %w", path, err)
	}
	k, err := loadKey(d, filepath.Base(path), path)
	if err = errors.Join(err, d.Close()); err != nil {
		return nil, fmt.Errorf("vault: key file %s: %w", path, err)
	}
	return k, nil
}

// keyWait bounds the wait for another process that makes the same key.
const keyWait = 10 * time.Second

func loadKey(d disk.Disk, name, path string) (k *SecretKey, err error) {
	lock, err := d.Lock(name+lockSuffix, true, keyWait)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	// Another process may have made it and been killed before its syncDir.
	if err := d.SyncDir(); err != nil {
		return nil, err
	}
	k, err = readKey(d, name, path)
	if errors.Is(err, fs.ErrNotExist) {
		return makeKey(d, name)
	}
	return k, err
}

func readKey(d disk.Disk, name, path string) (k *SecretKey, err error) {
	f, err := open(d, name, false, ErrKeyFile)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	_, mode, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if openToOthers(mode) {
		return nil, fmt.Errorf("%w (mode %04o): find out who read it, then chmod 600 %s", ErrKeyMode, mode.Perm(), path)
	}
	secret, err := readAll(f, KeySize, ErrKeyFile)
	if err != nil {
		return nil, err
	}
	defer clear(secret)
	return NewKey(secret)
}

func makeKey(d disk.Disk, name string) (*SecretKey, error) {
	secret := make([]byte, KeySize)
	defer clear(secret)
	if _, err := rand.Read(secret); err != nil {
		return nil, err
	}
	if err := replace(d, name, secret); err != nil {
		return nil, err
	}
	if err := d.SyncDir(); err != nil {
		return nil, err
	}
	return NewKey(secret)
}
