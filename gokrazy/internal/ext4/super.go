package ext4

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// ErrNoSuperblock says that a place holds no sound superblock.
var ErrNoSuperblock = errors.New("no sound superblock")

// readSuper reads a superblock at an offset and checks it.
func readSuper(r io.ReaderAt, at int64) ([]byte, error) {
	s := make([]byte, superSize)
	if _, err := r.ReadAt(s, at); err != nil {
		return nil, fmt.Errorf("superblock at %d: %w", at, err)
	}
	if le.Uint16(s[0x38:]) != 0xEF53 || le.Uint32(s[0x18:]) != logBlockSize ||
		le.Uint32(s[0x64:])&roCompatMetadataCsum == 0 || le.Uint32(s[0x3FC:]) != checksum(^uint32(0), s[:0x3FC]) {
		return nil, fmt.Errorf("superblock at %d: %w", at, ErrNoSuperblock)
	}
	return s, nil
}

// Label is the label of a file system.
func Label(r io.ReaderAt) (string, error) {
	s, err := readSuper(r, superOffset)
	if err != nil {
		return "", err
	}
	label, _, _ := bytes.Cut(s[0x78:0x88], []byte{0})
	return string(label), nil
}

// Errors tells whether the kernel has found damage in a file system.
func Errors(r io.ReaderAt) (bool, error) {
	s, err := readSuper(r, superOffset)
	if err != nil {
		return false, err
	}
	const errorFS = 2
	return le.Uint16(s[0x3A:])&errorFS != 0, nil
}

// incompatRecover tells the kernel that the journal has to be replayed.
const incompatRecover = 0x4

// RestoreSuperblock replaces the first superblock by its copy in group 1. The
// copy is as the file system was made: counts are computed anew by the kernel,
// and since it cannot be known whether the file system was in use, the
// superblock says that the journal is to be replayed, which does no harm where
// there is nothing in it.
//
// A first superblock that is sound is left alone, with [ErrSound]: then it is
// not what keeps the file system from being mounted. The group descriptors have
// no copies that are of use: theirs are as old as the file system.
func RestoreSuperblock(rw interface {
	io.ReaderAt
	io.WriterAt
}) error {
	if _, err := readSuper(rw, superOffset); err == nil {
		return fmt.Errorf("superblock at %d: %w", superOffset, ErrSound)
	} else if !errors.Is(err, ErrNoSuperblock) {
		return err // what cannot be read now may be sound
	}
	s, err := readSuper(rw, blocksPerGroup*blockSize)
	if err != nil {
		return err
	}
	le.PutUint16(s[0x5A:], 0) // the group
	le.PutUint32(s[0x60:], le.Uint32(s[0x60:])|incompatRecover)
	le.PutUint32(s[0x3FC:], checksum(^uint32(0), s[:0x3FC]))
	if _, err := rw.WriteAt(s, superOffset); err != nil {
		return fmt.Errorf("superblock: %w", err)
	}
	return nil
}

// ErrSound says that there is nothing to repair.
var ErrSound = errors.New("it is sound")
