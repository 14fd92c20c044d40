package wifi

import (
	"bytes"
	"crypto/aes"
	"encoding/binary"
	"testing"
)

// wrap is AES key wrap (RFC 3394, 2.2.1).
func wrap(t testing.TB, kek, plain []byte) []byte {
	t.Helper()
	block, err := aes.NewCipher(kek)
	if err != nil {
		t.Fatal(err)
	}
	out := append(bytes.Repeat([]byte{0xA6}, 8), plain...)
	n := len(plain) / 8
	var b [16]byte
	copy(b[:8], out)
	for j := range 6 {
		for i := 1; i <= n; i++ {
			copy(b[8:], out[8*i:])
			block.Encrypt(b[:], b[:])
			copy(out[8*i:], b[8:])
			binary.BigEndian.PutUint64(b[:8], binary.BigEndian.Uint64(b[:8])^uint64(n*j+i))
		}
	}
	copy(out, b[:8])
	return out
}

// authenticator is an access point's side of the handshakes, as far as tests
// want it.
type authenticator struct {
	t       testing.TB
	pmk     Key
	ap, sta address
	rsn     []byte
	counter uint64
	anonce  nonce
	key     *ptk
	gtk     [16]byte
	index   byte
}

func newPair(t testing.TB) (*authenticator, *supplicant) {
	t.Helper()
	a := &authenticator{
		t: t, pmk: Key{1, 2, 3}, ap: address{2, 0, 0, 0, 0, 9}, sta: address{2, 0, 0, 0, 0, 1},
		rsn: append(ownRSN()[:20], 0x0C, 0x00), anonce: nonce{0xA0}, gtk: [16]byte{0x61}, index: 1,
	}
	s := newSupplicant(a.pmk, &bss{address: a.ap, rsn: a.rsn}, a.sta, ownRSN())
	n := byte(0)
	s.random = func(to *nonce) { n++; *to = nonce{0x50, n} } // other than any before
	return a, s
}

// first is message 1.
func (a *authenticator) first() keyFrame {
	a.counter++
	return keyFrame{protocol: 2, info: versionAES | infoPairwise | infoAck, keyLength: 16, counter: a.counter, nonce: a.anonce}
}

// second checks message 2 and takes its nonce.
func (a *authenticator) second(frame []byte) {
	a.t.Helper()
	f, err := parseKeyFrame(frame)
	if err != nil {
		a.t.Fatal(err)
	}
	a.key = derive(a.pmk, a.ap, a.sta, a.anonce, f.nonce)
	if f.info != versionAES|infoPairwise|infoMIC || f.counter != a.counter || !bytes.Equal(f.data, ownRSN()) || !a.key.confirms(f) {
		a.t.Fatalf("message 2: %+v", f)
	}
}

// third is message 3, with key data of the standard.
func (a *authenticator) third() keyFrame {
	return a.thirdWith(join(a.rsn, a.gtkKDE()))
}

func (a *authenticator) thirdWith(plain []byte) keyFrame {
	a.counter++
	return keyFrame{
		protocol: 2, info: versionAES | infoPairwise | infoInstall | infoAck | infoMIC | infoSecure | infoEncrypted, keyLength: 16,
		counter: a.counter, nonce: a.anonce, rsc: [8]byte{7, 6, 5, 4, 3, 2}, data: a.encrypt(plain),
	}
}

// groupFirst is message 1 of the group key handshake.
func (a *authenticator) groupFirst() keyFrame {
	a.counter++
	return keyFrame{
		protocol: 2, info: versionAES | infoAck | infoMIC | infoSecure | infoEncrypted, keyLength: 16,
		counter: a.counter, nonce: nonce{0x77}, rsc: [8]byte{1}, data: a.encrypt(a.gtkKDE()),
	}
}

func (a *authenticator) gtkKDE() []byte {
	return append([]byte{elementVendor, 22, 0, 0x0F, 0xAC, 1, a.index, 0}, a.gtk[:]...)
}

// encrypt pads and wraps key data.
func (a *authenticator) encrypt(plain []byte) []byte {
	plain = bytes.Clone(plain)
	if len(plain)%8 != 0 || len(plain) < 16 {
		plain = append(plain, elementVendor)
	}
	for len(plain)%8 != 0 || len(plain) < 16 {
		plain = append(plain, 0)
	}
	return wrap(a.t, a.key.kek[:], plain)
}

// bytes is the frame as it is sent, without an integrity code where it has none.
func (a *authenticator) bytes(f keyFrame) []byte {
	if f.info.has(infoMIC) {
		return f.marshal(a.key)
	}
	b := f.marshal(&ptk{})
	clear(b[micAt : micAt+16])
	return b
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
