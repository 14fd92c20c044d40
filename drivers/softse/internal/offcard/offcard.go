// Package offcard is a host's side of SCP03, for tests. It is written from
// GlobalPlatform Card Specification 2.3, Amendment D, and shares no code with
// the card's side: whoever has misread the specification has to do so twice.
package offcard

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
)

// Keys are the static keys of one key set.
type Keys struct {
	Version       byte
	ENC, MAC, DEK []byte
}

// TestKeys are the well-known keys of a fresh card.
func TestKeys() Keys {
	k := []byte{0x40, 0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4A, 0x4B, 0x4C, 0x4D, 0x4E, 0x4F}
	return Keys{Version: 0xFF, ENC: k, MAC: k, DEK: k}
}

// Transmit sends one command APDU and returns data and status word.
type Transmit func(command []byte) (data []byte, sw uint16, err error)

// Host is one secure channel session as the host sees it.
type Host struct {
	Channel int // logical channel, 0 to 3

	keys          Keys
	hostChallenge []byte
	cardChallenge []byte
	level         byte
	tagSize       int // 8 or 16: S8 or S16
	sEnc          []byte
	sMac, sRmac   []byte
	macChain      [16]byte
	commands      uint64 // the encryption counter
	Counter       []byte // sequence counter in the answer to INITIALIZE UPDATE
	Param         byte   // the "i" parameter in it
}

// InitializeUpdate is the command (7.1.1).
func (h *Host) InitializeUpdate(keys Keys, challenge []byte) []byte {
	h.keys, h.hostChallenge, h.tagSize = keys, challenge, len(challenge)
	c := []byte{0x80 | byte(h.Channel), 0x50, keys.Version, 0x00, byte(len(challenge))}
	return append(append(c, challenge...), 0x00)
}

// Initialized takes the answer and verifies the card cryptogram.
func (h *Host) Initialized(answer []byte) error {
	t := h.tagSize
	if len(answer) != 10+3+2*t && len(answer) != 10+3+2*t+3 {
		return fmt.Errorf("answer to INITIALIZE UPDATE of %d bytes", len(answer))
	}
	if v := answer[10]; h.keys.Version != 0 && v != h.keys.Version || answer[11] != 3 {
		return fmt.Errorf("key information %x", answer[10:13])
	}
	h.Param = answer[12]
	h.cardChallenge = answer[13 : 13+t]
	h.Counter = answer[13+2*t:]
	context := append(append([]byte{}, h.hostChallenge...), h.cardChallenge...)
	h.sEnc = Derive(h.keys.ENC, 4, 8*len(h.keys.ENC), context)
	h.sMac = Derive(h.keys.MAC, 6, 8*len(h.keys.MAC), context)
	h.sRmac = Derive(h.keys.MAC, 7, 8*len(h.keys.MAC), context)
	if want := Derive(h.sMac, 0, 8*t, context); !bytes.Equal(want, answer[13+t:13+2*t]) {
		return errors.New("wrong card cryptogram")
	}
	return nil
}

// ExternalAuthenticate is the command (7.1.2).
func (h *Host) ExternalAuthenticate(level byte) []byte {
	context := append(append([]byte{}, h.hostChallenge...), h.cardChallenge...)
	cryptogram := Derive(h.sMac, 1, 8*h.tagSize, context)
	h.level = 1 // no encryption in this command
	wrapped := h.Wrap([]byte{0x80, 0x82, level, 0x00, byte(h.tagSize)}, cryptogram, 0)
	h.level = level
	return wrapped
}

// Wrap protects a command: a header of which only CLA INS P1 P2 are used, the
// data, and Le as it is to stand in a short APDU: -1 none, 0 for 256. The
// form is extended where the data ask for it.
func (h *Host) Wrap(header, data []byte, le int) []byte {
	if h.level&2 != 0 {
		h.commands++
		if len(data) > 0 {
			data = h.crypt(true, 0x00, padded(data))
		}
	}
	n := len(data) + h.tagSize
	c := []byte{header[0]&0xF0 | 0x04, header[1], header[2], header[3]}
	if n > 255 {
		c = append(c, 0, byte(n>>8))
	}
	c = append(append(c, byte(n)), data...)
	h.macChain = CMAC(h.sMac, append(append([]byte{}, h.macChain[:]...), c...))
	c = append(c, h.macChain[:h.tagSize]...)
	c[0] |= byte(h.Channel)
	switch {
	case le >= 0 && n > 255:
		c = append(c, byte(le>>8), byte(le))
	case le >= 0:
		c = append(c, byte(le))
	}
	return c
}

// Unwrap takes the protection off a response.
func (h *Host) Unwrap(data []byte, sw uint16) ([]byte, error) {
	if h.level&0x10 == 0 || sw != 0x9000 && sw>>8 != 0x62 && sw>>8 != 0x63 {
		return data, nil
	}
	if len(data) < h.tagSize {
		return nil, fmt.Errorf("a response of %d bytes without R-MAC", len(data))
	}
	body, tag := data[:len(data)-h.tagSize], data[len(data)-h.tagSize:]
	message := append(append([]byte{}, h.macChain[:]...), body...)
	mac := CMAC(h.sRmac, append(message, byte(sw>>8), byte(sw)))
	if !bytes.Equal(mac[:h.tagSize], tag) {
		return nil, errors.New("wrong R-MAC")
	}
	if h.level&0x20 == 0 || len(body) == 0 {
		return body, nil
	}
	if len(body)%16 != 0 {
		return nil, fmt.Errorf("encrypted response of %d bytes", len(body))
	}
	plain := h.crypt(false, 0x80, body)
	i := bytes.LastIndexByte(plain, 0x80)
	if i < 0 || len(bytes.Trim(plain[i+1:], "\x00")) > 0 {
		return nil, errors.New("wrong padding of the response")
	}
	return plain[:i], nil
}

// Open does both commands of the mutual authentication.
func (h *Host) Open(transmit Transmit, keys Keys, challenge []byte, level byte) error {
	data, sw, err := transmit(h.InitializeUpdate(keys, challenge))
	if err != nil || sw != 0x9000 {
		return fmt.Errorf("INITIALIZE UPDATE: %04X %w", sw, err)
	}
	if err := h.Initialized(data); err != nil {
		return err
	}
	if _, sw, err = transmit(h.ExternalAuthenticate(level)); err != nil || sw != 0x9000 {
		return fmt.Errorf("EXTERNAL AUTHENTICATE: %04X %w", sw, err)
	}
	return nil
}

// Send wraps, transmits and unwraps.
func (h *Host) Send(transmit Transmit, header, data []byte) ([]byte, uint16, error) {
	answer, sw, err := transmit(h.Wrap(header, data, 0))
	if err != nil {
		return nil, 0, err
	}
	plain, err := h.Unwrap(answer, sw)
	return plain, sw, err
}

// PutKey is the data field of PUT KEY for a whole set (7.2), encrypted with
// the DEK of the session.
func (h *Host) PutKey(k Keys) []byte {
	b := []byte{k.Version}
	for _, key := range [][]byte{k.ENC, k.MAC, k.DEK} {
		b = append(b, h.KeyField(key)...)
	}
	return b
}

// KeyField is one key data field.
func (h *Host) KeyField(key []byte) []byte {
	block, err := aes.NewCipher(h.keys.DEK)
	if err != nil {
		panic(err) // a test with a wrong key size
	}
	clear := append([]byte{}, key...)
	for len(clear)%16 != 0 {
		clear = append(clear, 0)
	}
	cipher.NewCBCEncrypter(block, make([]byte, 16)).CryptBlocks(clear, clear)
	b := append([]byte{0x88, byte(1 + len(clear)), byte(len(key))}, clear...)
	return append(append(b, 3), CheckValue(key)...)
}

// CheckValue is the key check value (4.1.4).
func CheckValue(key []byte) []byte {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // a test with a wrong key size
	}
	b := bytes.Repeat([]byte{1}, 16)
	block.Encrypt(b, b)
	return b[:3]
}

func (h *Host) crypt(encrypt bool, first byte, in []byte) []byte {
	block, err := aes.NewCipher(h.sEnc)
	if err != nil {
		panic(err) // a test with a wrong key size
	}
	var iv [16]byte
	for i, n := 15, h.commands; n > 0; i, n = i-1, n>>8 {
		iv[i] = byte(n)
	}
	iv[0] = first
	block.Encrypt(iv[:], iv[:])
	out := make([]byte, len(in))
	if encrypt {
		cipher.NewCBCEncrypter(block, iv[:]).CryptBlocks(out, in)
	} else {
		cipher.NewCBCDecrypter(block, iv[:]).CryptBlocks(out, in)
	}
	return out
}

func padded(b []byte) []byte {
	out := append(append([]byte{}, b...), 0x80)
	return append(out, make([]byte, (16-len(out)%16)%16)...)
}
