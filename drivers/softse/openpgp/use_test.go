package openpgp

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"math/big"
	"slices"
	"testing"

	"github.com/cloud-of-se/tses/apdu"
)

// Algorithm attributes.
const (
	rsa2048 = "010800002000"
	rsa3072 = "010C00002000"
	rsa4096 = "011000002000"
	p256    = "2A8648CE3D030107"
	p384    = "2B81040022"
	p521    = "2B81040023"
	ed      = "162B06010401DA470F01"
	x25519  = "122B060104019755010501"
)

// digestInfo is that of SHA-256 in front of a hash (RFC 8017, 9.2).
var digestInfo = unhex("3031300D060960864801650304020105000420")

// verifySignature has Go's own crypto judge a signature over the message by the
// public key that the card tells.
func verifySignature(t *testing.T, public, message, signature []byte) {
	t.Helper()
	point, isPoint := apdu.FindTLV(public, 0x7F49, 0x86)
	n, isRSA := apdu.FindTLV(public, 0x7F49, 0x81)
	e, _ := apdu.FindTLV(public, 0x7F49, 0x82)
	hash := sha256.Sum256(message)
	right := false
	switch {
	case isRSA:
		key := &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}
		right = rsa.VerifyPKCS1v15(key, crypto.SHA256, hash[:], signature) == nil
	case isPoint && len(point) == ed25519.PublicKeySize:
		right = ed25519.Verify(point, message, signature)
	case isPoint:
		curve := map[int]elliptic.Curve{65: elliptic.P256(), 97: elliptic.P384(), 133: elliptic.P521()}[len(point)]
		key, err := ecdsa.ParseUncompressedPublicKey(curve, point)
		if err != nil {
			t.Fatal(err)
		}
		half := len(signature) / 2
		right = ecdsa.Verify(key, hash[:], new(big.Int).SetBytes(signature[:half]), new(big.Int).SetBytes(signature[half:]))
	}
	if !right {
		t.Errorf("wrong signature % X by % X", signature, public)
	}
}

// toBeSigned is what a terminal sends to have a message signed.
func toBeSigned(attributes string, message []byte) []byte {
	hash := sha256.Sum256(message)
	switch attributes[:2] {
	case "01":
		return append(slices.Clone(digestInfo), hash[:]...)
	case "16":
		return message
	}
	return hash[:]
}

func TestSign(t *testing.T) {
	for _, a := range []string{rsa2048, "13" + p256, "13" + p384, "13" + p521, ed} {
		c := newClient(t).everything()
		c.ok("00DA00C1" + a)
		c.ok("00DA00C3" + a)
		message := []byte("to be signed")
		public := c.ok("00478000 B600")
		verifySignature(t, public, message, c.ok("002A9E9A", toBeSigned(a, message)))
		if again := c.ok("00478100 B600"); !bytes.Equal(again, public) {
			t.Errorf("%s: the public key is read as % X", a, again)
		}
		public = c.ok("00478000 A400")
		verifySignature(t, public, message, c.ok("00880000", toBeSigned(a, message)))
		c = c.reload().everything()
		verifySignature(t, public, message, c.ok("00880000", toBeSigned(a, message)))
		if got, want := c.ok("00CA00DE"), unhex("010102000301"); !bytes.Equal(got, want) {
			t.Errorf("key information % X, want % X", got, want)
		}
	}
}

// PW1 is good for one signature, unless C4 says so; signatures are counted, and
// a new key begins anew.
func TestSignatureCounter(t *testing.T) {
	c := newClient(t).everything()
	c.ok("00DA00C1" + ed)
	c.ok("00478000 B600")
	c.ok("002A9E9A 01")
	c.refused(denied, "002A9E9A 01")
	c.ok("00200082") // the other use stays
	c.ok("00DA00C4 01")
	c.ok("00200081 313233343536")
	c.ok("002A9E9A 01")
	c.ok("002A9E9A 01")
	if got := c.reload().ok("00CA007A"); !bytes.Equal(got, unhex("7A059303000003")) {
		t.Errorf("counter % X", got)
	}
	c.card.fail = func() bool { return true }
	c.refused(apdu.SWMemoryFailure, "002A9E9A 01")
	c.card.fail = nil
	c.ok("00478000 B600")
	if got := c.ok("00CA007A"); !bytes.Equal(got, unhex("7A059303000000")) {
		t.Errorf("counter of a new key % X", got)
	}
}

// importTemplate is the data field of PUT DATA DB.
func importTemplate(crt string, tags []byte, values ...[]byte) []byte {
	var list, all []byte
	for i, v := range values {
		list = apdu.AppendTLV(list, apdu.Tag(tags[i]), v)
		list = list[:len(list)-len(v)]
		all = append(all, v...)
	}
	b := unhex(crt)
	b = apdu.AppendTLV(b, 0x7F48, list)
	b = apdu.AppendTLV(b, 0x5F48, all)
	return apdu.AppendTLV(nil, 0x4D, b)
}

func TestImport(t *testing.T) {
	message := []byte("by a key from outside")
	for _, tt := range []struct {
		attributes string
		bits       int
		curve      elliptic.Curve
	}{
		{rsa2048, 2048, nil}, {rsa3072, 3072, nil}, {rsa4096, 4096, nil},
		{"13" + p256, 0, elliptic.P256()}, {"13" + p384 + "FF", 0, elliptic.P384()}, {"13" + p521, 0, elliptic.P521()}, {ed, 0, nil},
	} {
		c := newClient(t).everything()
		c.ok("00DA00C1" + tt.attributes)
		c.ok("00DB3FFF", privateTemplate(t, tt.bits, tt.curve))
		verifySignature(t, c.ok("00478100 B600"), message, c.ok("002A9E9A", toBeSigned(tt.attributes, message)))
		if got := c.ok("00CA00DE")[:2]; !bytes.Equal(got, []byte{1, 2}) {
			t.Errorf("%s: key information % X", tt.attributes, got)
		}
		c.reload()
		// It is of that algorithm alone, and another algorithm removes it.
		c.ok("00DA00C1 132B81040022FF")
		if tt.curve != elliptic.P384() && tt.attributes != ed { // whose seed can be a scalar
			c.refused(apdu.SWWrongData, "00DB3FFF", privateTemplate(t, tt.bits, tt.curve))
			c.refused(apdu.SWReferencedDataNotFound, "00478100 B600")
		}
	}
}

func privateTemplate(t *testing.T, bits int, curve elliptic.Curve) []byte {
	t.Helper()
	switch {
	case bits != 0:
		key := fixedRSA(t, bits)
		return importTemplate("B600", []byte{0x91, 0x92, 0x93}, big.NewInt(int64(key.E)).Bytes(), key.Primes[0].Bytes(), key.Primes[1].Bytes())
	case curve != nil:
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		scalar, err := key.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		public, err := key.PublicKey.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		return importTemplate("B603840101", []byte{0x92, 0x99}, bytes.TrimLeft(scalar, "\x00"), public)
	}
	return importTemplate("B600", []byte{0x92}, bytes.Repeat([]byte{7}, 32))
}

// rsaKeys are made once: they take time.
var rsaKeys = map[int]*rsa.PrivateKey{}

func fixedRSA(t *testing.T, bits int) *rsa.PrivateKey {
	t.Helper()
	if key := rsaKeys[bits]; key != nil {
		return key
	}
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	rsaKeys[bits] = key
	return key
}

func TestImportRefuses(t *testing.T) {
	key := fixedRSA(t, 2048)
	e, p, q := []byte{1, 0, 1}, key.Primes[0].Bytes(), key.Primes[1].Bytes()
	even := slices.Clone(p)
	even[len(even)-1]--
	tags := []byte{0x91, 0x92, 0x93}
	c := newClient(t).everything()
	for name, data := range map[string][]byte{
		"no q":             importTemplate("B600", tags, e, p),
		"p twice":          importTemplate("B600", tags, e, p, p),
		"no prime":         importTemplate("B600", tags, e, even, q),
		"e of 1":           importTemplate("B600", tags, []byte{1}, p, q),
		"even e":           importTemplate("B600", tags, []byte{4}, p, q),
		"long e":           importTemplate("B600", tags, []byte{1, 0, 0, 0, 1}, p, q),
		"short p":          importTemplate("B600", tags, e, p[:100], q),
		"a value twice":    importTemplate("B600", []byte{0x92, 0x92}, p, p),
		"no key of ours":   importTemplate("B700", tags, e, p, q),
		"another number":   importTemplate("B603840103", tags, e, p, q),
		"values missing":   apdu.AppendTLV(nil, 0x4D, unhex("B600 7F4802 9103 5F4801 01")),
		"values left over": apdu.AppendTLV(nil, 0x4D, unhex("B600 7F4802 9101 5F4802 0101")),
	} {
		if r := c.send("00DB3FFF", data); r.SW != apdu.SWWrongData {
			t.Errorf("%s: %v", name, r.SW)
		}
	}
	c.ok("00DA00C2" + x25519)
	for name, scalar := range map[string][]byte{"31 bytes": make([]byte, 31), "33 bytes": make([]byte, 33)} {
		if r := c.send("00DB3FFF", importTemplate("B800", []byte{0x92}, scalar)); r.SW != apdu.SWWrongData {
			t.Errorf("X25519 of %s: %v", name, r.SW)
		}
	}
}

func TestDecipherRSA(t *testing.T) {
	c := newClient(t).everything()
	key := fixedRSA(t, 2048)
	template := importTemplate("B800", []byte{0x91, 0x92, 0x93}, []byte{1, 0, 1}, key.Primes[0].Bytes(), key.Primes[1].Bytes())
	c.ok("00DB3FFF", template)
	block := slices.Concat([]byte{0, 2}, bytes.Repeat([]byte{7}, 256-3-11), []byte{0}, []byte("session key")) // RFC 8017, 7.2.1
	cipher := new(big.Int).Exp(new(big.Int).SetBytes(block), big.NewInt(int64(key.E)), key.N).FillBytes(make([]byte, 256))
	if got := c.ok("002A8086 00", cipher); string(got) != "session key" {
		t.Errorf("%q", got)
	}
	c.refused(apdu.SWWrongData, "002A8086 01", cipher)
	c.refused(apdu.SWWrongData, "002A8086 00", cipher[1:])
	cipher[0] ^= 1
	c.refused(apdu.SWWrongData, "002A8086 00", cipher)
}

func TestDecipherECDH(t *testing.T) {
	for attributes, curve := range map[string]ecdh.Curve{"12" + p256: ecdh.P256(), "12" + p384: ecdh.P384(), "12" + p521: ecdh.P521(), x25519: ecdh.X25519()} {
		c := newClient(t).everything()
		c.ok("00DA00C2" + attributes)
		point, _ := apdu.FindTLV(c.ok("00478000 B800"), 0x7F49, 0x86)
		public, err := curve.NewPublicKey(point)
		if err != nil {
			t.Fatal(err)
		}
		ephemeral, err := curve.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		want, err := ephemeral.ECDH(public)
		if err != nil {
			t.Fatal(err)
		}
		c = c.reload().everything()
		if got := c.ok("002A8086", agreement(ephemeral.PublicKey().Bytes())); !bytes.Equal(got, want) {
			t.Errorf("%s: % X, want % X", attributes, got, want)
		}
		if attributes == x25519 {
			if got := c.ok("002A8086", agreement(append([]byte{0x40}, ephemeral.PublicKey().Bytes()...))); !bytes.Equal(got, want) {
				t.Errorf("%s with the prefix: % X, want % X", attributes, got, want)
			}
		}
		c.refused(apdu.SWWrongData, "002A8086", agreement(make([]byte, len(point))))
	}
}

func agreement(point []byte) []byte {
	return apdu.AppendTLV(nil, 0xA6, apdu.AppendTLV(nil, 0x7F49, apdu.AppendTLV(nil, 0x86, point)))
}

// MSE makes the keys of confidentiality and of authentication change places.
func TestManageEnvironment(t *testing.T) {
	c := newClient(t).everything()
	c.ok("00DA00C2 12" + p256)
	c.ok("00DA00C3 13" + p256)
	two, three := c.ok("00478000 B800"), c.ok("00478000 A400")
	message := []byte("who signs?")
	hash := sha256.Sum256(message)
	verifySignature(t, three, message, c.ok("00880000", hash[:]))
	c.ok("002241A4 830102")
	verifySignature(t, two, message, c.ok("00880000", hash[:]))
	ephemeral, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ mse, public string }{{"002241B8 830103", string(three)}, {"002241B8 830102", string(two)}} {
		c.ok(tt.mse)
		point, _ := apdu.FindTLV([]byte(tt.public), 0x7F49, 0x86)
		public, err := ecdh.P256().NewPublicKey(point)
		if err != nil {
			t.Fatal(err)
		}
		want, err := ephemeral.ECDH(public)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.ok("002A8086", agreement(ephemeral.PublicKey().Bytes())); !bytes.Equal(got, want) {
			t.Errorf("%s: % X, want % X", tt.mse, got, want)
		}
	}
	// Another selection begins with the keys as they are.
	verifySignature(t, three, message, c.another().everything().ok("00880000", hash[:]))
}

// NIST SP 800-38A, F.2.1, its first block, with an initial vector of zero: so
// what goes in is the XOR of both.
func TestAES(t *testing.T) {
	c := newClient(t).everything()
	c.ok("00DA00D5 2B7E151628AED2A6ABF7158809CF4F3C")
	plain := unhex("6BC0BCE12A459991E134741A7F9E1925")
	want := unhex("02 7649ABAC8119B246CEE98E9B12E9197D")
	if got := c.ok("002A8680", plain); !bytes.Equal(got, want) {
		t.Errorf("% X, want % X", got, want)
	}
	c = c.reload().everything()
	if got := c.ok("002A8086", want); !bytes.Equal(got, plain) {
		t.Errorf("% X, want % X", got, plain)
	}
	c.refused(apdu.SWWrongData, "002A8680 00")
	c.refused(apdu.SWWrongData, "002A8086 0200")
}

// A longer hash than the curve's order, as ssh has with P-256 and P-384 never,
// but gpg has with SHA-512, is cut.
func TestLongHash(t *testing.T) {
	c := newClient(t).everything()
	c.ok("00DA00C1 13" + p256)
	point, _ := apdu.FindTLV(c.ok("00478000 B600"), 0x7F49, 0x86)
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		t.Fatal(err)
	}
	hash := sha512.Sum512([]byte("long"))
	signature := c.ok("002A9E9A", hash[:])
	if len(signature) != 64 || !ecdsa.Verify(key, hash[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])) {
		t.Errorf("% X", signature)
	}
}
