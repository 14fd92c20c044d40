package scp03

import "crypto/aes"

// Derivation constants (Amendment D, 4.1.5, table 4-1).
const (
	deriveCardCryptogram = 0x00
	deriveHostCryptogram = 0x01
	deriveChallenge      = 0x02
	deriveENC            = 0x04
	deriveMAC            = 0x06
	deriveRMAC           = 0x07
)

// derive is the data derivation of Amendment D, 4.1.5: NIST SP 800-108 in
// counter mode with CMAC, where the counter of one byte stands between the
// length L (in bits, two bytes) and the context. It gives n bytes, at most 32.
func (m *cmac) derive(constant byte, n int, context ...[]byte) []byte {
	var prefix [16]byte // label of 12 bytes, separator 00, L, counter
	prefix[11] = constant
	prefix[13], prefix[14] = byte(n*8>>8), byte(n*8)
	parts := append([][]byte{prefix[:]}, context...)
	out := make([]byte, 0, 2*aes.BlockSize)
	for len(out) < n {
		prefix[15]++
		x := m.sum(parts...)
		out = append(out, x[:]...)
	}
	clear(out[n:])
	return out[:n:n]
}

// CardChallenge is the pseudo-random card challenge of n bytes, 8 or 16
// (Amendment D, 6.2.2.1): derived with the static key ENC from the sequence
// counter and the AID of the application that is asked.
func CardChallenge(enc []byte, counter [3]byte, aid []byte, n int) ([]byte, error) {
	m, err := newCMAC(enc)
	if err != nil {
		return nil, err
	}
	defer m.wipe()
	return m.derive(deriveChallenge, n, counter[:], aid), nil
}
