package piv

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/subtle"

	"github.com/cloud-of-se/tses/apdu"
)

// managementKey is the card management key 9B (SP 800-73-4 part 1, table 4b).
type managementKey struct {
	algorithm algorithm
	touch     touchPolicy
	value     []byte
}

// defaultManagementBytes is the key of every new instance.
func defaultManagementBytes() []byte {
	return bytes.Repeat([]byte{1, 2, 3, 4, 5, 6, 7, 8}, 3)
}

func defaultManagementKey() managementKey {
	return managementKey{algorithm: alg3DES, touch: touchNever, value: defaultManagementBytes()}
}

func (m *managementKey) isDefault() bool {
	return m.algorithm == alg3DES && subtle.ConstantTimeCompare(m.value, defaultManagementBytes()) == 1
}

// keyLength is the length of the algorithm's key in bytes, 0 for one that a
// management key cannot have.
func (a algorithm) keyLength() int {
	switch a {
	case alg3DES, algAES192:
		return 24
	case algAES128:
		return 16
	case algAES256:
		return 32
	}
	return 0
}

func (m *managementKey) cipher() (cipher.Block, error) {
	if m.algorithm == alg3DES {
		return des.NewTripleDESCipher(m.value)
	}
	return aes.NewCipher(m.value)
}

// setManagementKey is the extension SET MANAGEMENT KEY: P1 FF, P2 FF, FE or
// FD for the touch policy never, always or cached; algorithm, 9B, length, key.
// This selection stays authenticated, others have to be again. DES parity and
// weak keys are not judged: the default key is one.
func (s *selection) setManagementKey(c apdu.Command) error {
	if c.P1 != 0xFF || c.P2 < 0xFD {
		return apdu.SWIncorrectP1P2
	}
	if err := s.needManagement(); err != nil {
		return err
	}
	if len(c.Data) < 3 {
		return apdu.SWWrongData
	}
	alg, ref, n, value := algorithm(c.Data[0]), c.Data[1], int(c.Data[2]), c.Data[3:]
	if alg.keyLength() == 0 || ref != refManagement || n != alg.keyLength() || len(value) != n {
		return apdu.SWWrongData
	}
	old := s.app.state.management
	s.app.state.management = managementKey{
		algorithm: alg,
		touch:     touchPolicy(0xFF-c.P2) + touchNever,
		value:     bytes.Clone(value),
	}
	if err := s.app.commit(func() { s.app.state.management = old }); err != nil {
		return err
	}
	clear(old.value)
	s.exchange.end()
	s.app.managementEpoch++
	s.setManagement(true)
	return nil
}
