package offcard

import (
	"crypto/aes"
	"math/big"
)

// CMAC is AES-CMAC, done with big integers where RFC 4493 shifts.
func CMAC(key, message []byte) (mac [16]byte) {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // a test with a wrong key size
	}
	block.Encrypt(mac[:], mac[:])
	modulus := new(big.Int).SetBit(big.NewInt(0x87), 128, 1)
	times := func(k *big.Int) *big.Int {
		k = new(big.Int).Lsh(k, 1)
		if k.Bit(128) == 1 {
			k.Xor(k, modulus)
		}
		return k
	}
	k := times(new(big.Int).SetBytes(mac[:]))
	last := append([]byte{}, message[max(0, (len(message)-1)/16*16):]...)
	whole := message[:len(message)-len(last)]
	if len(last) < 16 {
		last = append(last, 0x80)
		last = append(last, make([]byte, 16-len(last))...)
		k = times(k)
	}
	new(big.Int).Xor(new(big.Int).SetBytes(last), k).FillBytes(last)
	mac = [16]byte{}
	for _, b := range [][]byte{whole, last} {
		for ; len(b) > 0; b = b[16:] {
			for i := range mac {
				mac[i] ^= b[i]
			}
			block.Encrypt(mac[:], mac[:])
		}
	}
	return mac
}

// Derive is the data derivation of 4.1.5.
func Derive(key []byte, constant byte, bits int, context []byte) []byte {
	var out []byte
	for i := 1; len(out)*8 < bits; i++ {
		in := make([]byte, 11, 64)
		in = append(in, constant, 0x00, byte(bits>>8), byte(bits), byte(i))
		mac := CMAC(key, append(in, context...))
		out = append(out, mac[:]...)
	}
	return out[:bits/8]
}
