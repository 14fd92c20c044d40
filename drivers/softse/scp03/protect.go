package scp03

import (
	"crypto/aes"
	"crypto/cipher"

	"github.com/cloud-of-se/tses/apdu"
)

// Unwrap verifies and decrypts one command (Amendment D, 6.2.4 and 6.2.6).
// What it returns has no secure messaging in its class; decrypted data lie
// where the encrypted ones were not: the caller's bytes stay as they are.
func (s *Session) Unwrap(c apdu.Command) (apdu.Command, error) {
	data, err := s.verify(c)
	if err != nil {
		return apdu.Command{}, err
	}
	c.CLA, c.Data = c.CLA&^0x04, data
	if s.level&CENC == 0 {
		return c, nil
	}
	s.count() // also for a command without data
	if len(data) == 0 {
		return c, nil
	}
	if len(data)%aes.BlockSize != 0 {
		return apdu.Command{}, ErrFormat
	}
	plain := make([]byte, len(data))
	cipher.NewCBCDecrypter(s.enc, s.icv(0x00)).CryptBlocks(plain, data)
	n, ok := unpad(plain)
	if !ok {
		return apdu.Command{}, ErrFormat
	}
	c.Data = plain[:n]
	return c, nil
}

// Wrap protects one response (Amendment D, 6.2.5 and 6.2.7). A response with
// an error status goes out as it is, without data.
func (s *Session) Wrap(r apdu.Response) apdu.Response {
	switch sw1 := r.SW.SW1(); {
	case s.level&RMAC == 0:
		return r
	case r.SW != apdu.SWSuccess && sw1 != 0x62 && sw1 != 0x63:
		return apdu.Response{SW: r.SW}
	}
	out := make([]byte, 0, len(r.Data)+2*aes.BlockSize)
	out = append(out, r.Data...)
	if s.level&RENC != 0 && len(r.Data) > 0 {
		out = pad(out)
		cipher.NewCBCEncrypter(s.enc, s.icv(0x80)).CryptBlocks(out, out)
	}
	mac := s.rmac.sum(s.chaining[:], out, []byte{r.SW.SW1(), r.SW.SW2()})
	return apdu.Response{Data: append(out, mac[:s.mode]...), SW: r.SW}
}

// count is the encryption counter's next value; the first command after
// EXTERNAL AUTHENTICATE has 1.
func (s *Session) count() {
	for i := len(s.encryptionCount) - 1; i >= 0; i-- {
		s.encryptionCount[i]++
		if s.encryptionCount[i] != 0 {
			return
		}
	}
}

// icv is the initial chaining value: the encrypted counter, whose first byte
// tells commands (00) from responses (80).
func (s *Session) icv(first byte) []byte {
	icv := s.encryptionCount
	icv[0] = first
	s.enc.Encrypt(icv[:], icv[:])
	return icv[:]
}

// pad is the padding of GlobalPlatform Card Specification 2.3.1, B.2.3: 80,
// then 00 to the end of the block.
func pad(b []byte) []byte {
	b = append(b, 0x80)
	for len(b)%aes.BlockSize != 0 {
		b = append(b, 0)
	}
	return b
}

// unpad is the length without padding. The MAC over the data has been
// verified, so that where the padding breaks may show in time.
func unpad(b []byte) (int, bool) {
	n := len(b) - 1
	for n >= 0 && n >= len(b)-aes.BlockSize && b[n] == 0 {
		n--
	}
	if n < 0 || n < len(b)-aes.BlockSize || b[n] != 0x80 {
		return 0, false
	}
	return n, true
}
