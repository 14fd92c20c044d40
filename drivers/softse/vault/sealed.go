package vault

import (
	"bytes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"fmt"

	"golang.org/x/crypto/chacha20poly1305"
)

// MaxState is the longest state in bytes: 4 MiB.
const MaxState = 4 << 20

// A sealed file: the header, all of it authenticated, and the ciphertext,
// whose last bytes are the tag. Numbers are big endian.
//
//	 0  8   magic
//	 8  1   format version
//	 9  1   length of the SEID
//	10  64  SEID, zeros after it
//	74  8   generation
//	82  16  tag of the generation before
//	98  24  nonce
const (
	magic      = "TSES-SE\x00"
	version    = 1
	nonceAt    = 98
	headerSize = nonceAt + chacha20poly1305.NonceSizeX
	tagSize    = chacha20poly1305.Overhead
	maxSealed  = headerSize + MaxState + tagSize
)

// tag names one write of one SE: no two are alike, because the nonce is random
// and the tag depends on it.
type tag [tagSize]byte

// link is the place of one state in the chain of an SE's states.
type link struct {
	generation uint64
	tag        tag
	previous   tag
}

// sealer seals and opens the states of one SE.
type sealer struct {
	aead cipher.AEAD
	seid string
}

func newSealer(key Key, seid string) (*sealer, error) {
	k, err := derive(key, "softse state", seid)
	if err != nil {
		return nil, err
	}
	defer clear(k)
	aead, err := chacha20poly1305.NewX(k)
	if err != nil {
		return nil, err
	}
	return &sealer{aead: aead, seid: seid}, nil
}

func derive(key Key, purpose, seid string) ([]byte, error) {
	k, err := key.Derive(purpose, seid)
	if err == nil && len(k) != KeySize {
		err = fmt.Errorf("the key derives %d bytes and not %d", len(k), KeySize)
	}
	if err != nil {
		return nil, fmt.Errorf("key for %q of %q: %w", purpose, seid, err)
	}
	return k, nil
}

// seal appends the sealed file to buf.
func (s *sealer) seal(buf, state []byte, generation uint64, previous tag) ([]byte, link, error) {
	var name [maxName]byte
	copy(name[:], s.seid)
	buf = append(buf, magic...)
	buf = append(buf, version, byte(len(s.seid)))
	buf = append(buf, name[:]...)
	buf = binary.BigEndian.AppendUint64(buf, generation)
	buf = append(buf, previous[:]...)
	var nonce [chacha20poly1305.NonceSizeX]byte
	if _, err := rand.Read(nonce[:]); err != nil {
		return nil, link{}, err
	}
	buf = append(buf, nonce[:]...)
	header := buf[len(buf)-headerSize:]
	buf = s.aead.Seal(buf, nonce[:], state, header)
	return buf, link{generation, tag(buf[len(buf)-tagSize:]), previous}, nil
}

// open checks a sealed file and returns its state, which the caller wipes.
func (s *sealer) open(sealed []byte) (state []byte, l link, err error) {
	if len(sealed) < headerSize+tagSize || !bytes.HasPrefix(sealed, []byte(magic)) {
		return nil, link{}, fmt.Errorf("%w: it has no header", ErrDamaged)
	}
	if v := sealed[8]; v != version {
		return nil, link{}, fmt.Errorf("%w: %d: use the program that wrote it", ErrVersion, v)
	}
	// Whose it says it is, is not yet proven. Either way it is refused; this
	// only lets the operator find the file that was mistaken.
	if name := headerName(sealed); name != s.seid && checkName(name) == nil {
		return nil, link{}, fmt.Errorf("%w: it says %q", ErrSwapped, name)
	}
	header := sealed[:headerSize]
	state, err = s.aead.Open(nil, header[nonceAt:], sealed[headerSize:], header)
	if err != nil || headerName(sealed) != s.seid {
		return nil, link{}, ErrDamaged
	}
	return state, link{
		generation: binary.BigEndian.Uint64(header[74:]),
		previous:   tag(header[82:]),
		tag:        tag(sealed[len(sealed)-tagSize:]),
	}, nil
}

func headerName(sealed []byte) string {
	return string(sealed[10 : 10+min(int(sealed[9]), maxName)])
}
