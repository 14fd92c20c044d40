package scp03

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"errors"
	"fmt"

	"github.com/cloud-of-se/tses/apdu"
)

// Level is the security level of a session, P1 of EXTERNAL AUTHENTICATE.
type Level byte

// The parts of a level.
const (
	CMAC Level = 0x01 // commands carry a MAC
	CENC Level = 0x02 // command data are encrypted
	RMAC Level = 0x10 // responses carry a MAC
	RENC Level = 0x20 // response data are encrypted
)

// legal tells whether the parts go together: 01, 03, 11, 13 or 33 (Amendment
// D, table 7-5). Level 00, authentication without protection of what follows,
// is legal there and refused here: no command of this card would accept it.
func (l Level) legal() bool {
	switch l {
	case CMAC, CMAC | CENC, CMAC | RMAC, CMAC | CENC | RMAC, CMAC | CENC | RMAC | RENC:
		return true
	}
	return false
}

// The errors of a session. After any of them it is over.
var (
	// ErrCryptogram: the host does not know the keys.
	ErrCryptogram = errors.New("wrong host cryptogram")
	// ErrMAC: the command is not the one that the host sent, or not the next.
	ErrMAC = errors.New("wrong C-MAC")
	// ErrFormat: the command is too short for its protection, badly padded, or
	// of a level that does not exist.
	ErrFormat = errors.New("not a command of this secure channel")
)

// Keys are the static keys of one key set, each of 16, 24 or 32 bytes.
type Keys struct{ ENC, MAC []byte }

// Session is one secure channel session.
type Session struct {
	mode            int // 8 or 16: bytes of a challenge, a cryptogram and a MAC
	level           Level
	enc             cipher.Block
	mac, rmac       *cmac
	cardCryptogram  []byte
	hostCryptogram  []byte
	chaining        [aes.BlockSize]byte // the full C-MAC of the last command
	encryptionCount [aes.BlockSize]byte
}

// Begin derives the session keys (Amendment D, 6.2.1) and the cryptograms.
// Both challenges have the same length: 8 bytes for S8, 16 for S16.
func Begin(keys Keys, host, card []byte) (*Session, error) {
	if len(host) != len(card) || len(host) != 8 && len(host) != 16 {
		return nil, fmt.Errorf("%w: challenges of %d and %d bytes", ErrFormat, len(host), len(card))
	}
	s := &Session{mode: len(host)}
	kdfENC, err := newCMAC(keys.ENC)
	if err != nil {
		return nil, fmt.Errorf("key ENC: %w", err)
	}
	defer kdfENC.wipe()
	kdfMAC, err := newCMAC(keys.MAC)
	if err != nil {
		return nil, fmt.Errorf("key MAC: %w", err)
	}
	defer kdfMAC.wipe()
	if s.enc, err = blockOf(kdfENC.derive(deriveENC, len(keys.ENC), host, card)); err != nil {
		return nil, err
	}
	if s.mac, err = cmacOf(kdfMAC.derive(deriveMAC, len(keys.MAC), host, card)); err != nil {
		return nil, err
	}
	if s.rmac, err = cmacOf(kdfMAC.derive(deriveRMAC, len(keys.MAC), host, card)); err != nil {
		return nil, err
	}
	s.cardCryptogram = s.mac.derive(deriveCardCryptogram, s.mode, host, card)
	s.hostCryptogram = s.mac.derive(deriveHostCryptogram, s.mode, host, card)
	return s, nil
}

// blockOf and cmacOf take a session key and wipe it.
func blockOf(key []byte) (cipher.Block, error) {
	defer clear(key)
	return aes.NewCipher(key)
}

func cmacOf(key []byte) (*cmac, error) {
	defer clear(key)
	return newCMAC(key)
}

// CardCryptogram is the card's proof, for the answer to INITIALIZE UPDATE.
func (s *Session) CardCryptogram() []byte { return s.cardCryptogram }

// WellFormed tells whether EXTERNAL AUTHENTICATE has a level that exists and
// the right length, so that it can be judged at all.
func (s *Session) WellFormed(c apdu.Command) bool {
	return Level(c.P1).legal() && len(c.Data) == 2*s.mode
}

// Authenticate verifies EXTERNAL AUTHENTICATE: the host cryptogram and the
// C-MAC, which begins the chain. Its errors are [ErrFormat], [ErrCryptogram]
// and [ErrMAC].
func (s *Session) Authenticate(c apdu.Command) error {
	if !s.WellFormed(c) {
		return ErrFormat
	}
	wrong := subtle.ConstantTimeCompare(c.Data[:s.mode], s.hostCryptogram) != 1
	_, macErr := s.verify(c)
	switch {
	case wrong:
		return ErrCryptogram
	case macErr != nil:
		return macErr
	}
	s.level = Level(c.P1)
	return nil
}

// verify checks the C-MAC (Amendment D, 6.2.4) and returns the data before
// it. The class is taken without logical channel, as it comes in.
func (s *Session) verify(c apdu.Command) ([]byte, error) {
	n := len(c.Data) - s.mode
	if n < 0 {
		return nil, ErrFormat
	}
	header := append(make([]byte, 0, 7), c.CLA, c.INS, c.P1, c.P2)
	if c.Extended {
		header = append(header, 0, byte(len(c.Data)>>8))
	}
	header = append(header, byte(len(c.Data)))
	mac := s.mac.sum(s.chaining[:], header, c.Data[:n])
	if subtle.ConstantTimeCompare(mac[:s.mode], c.Data[n:]) != 1 {
		return nil, ErrMAC
	}
	s.chaining = mac
	return c.Data[:n:n], nil
}

// Wipe forgets the session keys, as far as Go lets it: the key schedules
// inside crypto/aes stay until the memory is used again.
func (s *Session) Wipe() {
	s.mac.wipe()
	s.rmac.wipe()
	s.enc = nil
	clear(s.chaining[:])
	clear(s.hostCryptogram)
	clear(s.cardCryptogram)
}
