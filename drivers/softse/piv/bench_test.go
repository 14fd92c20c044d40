package piv

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"testing"

	"github.com/cloud-of-se/tses/apdu"
)

// Each benchmark has the bare call of the standard library beside the command
// that makes it.

func process(b *testing.B, c *client, cmd apdu.Command) {
	b.Helper()
	b.ReportAllocs()
	for b.Loop() {
		if r := c.s.Process(cmd); r.SW != ok {
			b.Fatal(r.SW)
		}
	}
}

func BenchmarkSignP256(b *testing.B) {
	c := newClient(b)
	c.authenticate()
	c.generate(slotCardAuthentication, algP256)
	private := c.card.app.state.keys[slotCardAuthentication].private.(*ecdsa.PrivateKey)
	hash := make([]byte, 32)
	b.Run("bare", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := ecdsa.SignASN1(rand.Reader, private, hash); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("applet", func(b *testing.B) {
		process(b, c, apdu.Command{INS: 0x87, P1: 0x11, P2: 0x9E, Data: template(0x81, hash)})
	})
}

func BenchmarkRSA2048(b *testing.B) {
	c := newClient(b)
	c.authenticate()
	c.importVector()
	private := c.card.app.state.keys[slotCardAuthentication].private.(*rsa.PrivateKey)
	hash := make([]byte, 32)
	b.Run("bare", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := rsa.SignPKCS1v15(rand.Reader, private, crypto.SHA256, hash); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("applet-v15", func(b *testing.B) {
		block := blockPKCS1(256, append(prefixSHA256, hash...))
		process(b, c, apdu.Command{INS: 0x87, P1: 0x07, P2: 0x9E, Data: template(0x81, block)})
	})
	b.Run("applet-raw", func(b *testing.B) {
		block := append([]byte{0, 2}, make([]byte, 254)...)
		process(b, c, apdu.Command{INS: 0x87, P1: 0x07, P2: 0x9E, Data: template(0x81, block)})
	})
}

// BenchmarkVerify has the two commits and encodings of a right PIN, with a
// card that keeps nothing.
func BenchmarkVerify(b *testing.B) {
	c := filled(b)
	b.ReportAllocs()
	for b.Loop() {
		if got := c.verify("123456"); got != ok {
			b.Fatal(got)
		}
		c.card.saved = c.card.saved[:0]
	}
}

func BenchmarkSave(b *testing.B) {
	c := filled(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.card.app.Save(); err != nil {
			b.Fatal(err)
		}
	}
}
