package piv

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"io"
	"math/big"
	"testing"
	"testing/iotest"

	"github.com/cloud-of-se/tses/apdu"
)

// publicKey reads the data objects of a public key as a client does.
func publicKey(t testing.TB, a algorithm, objects []byte) crypto.PublicKey {
	t.Helper()
	point, _ := apdu.FindTLV(objects, 0x86)
	switch a {
	case algP256, algP384:
		public, err := ecdsa.ParseUncompressedPublicKey(a.curve(), point)
		if err != nil {
			t.Fatal(err)
		}
		return public
	case algEd25519:
		return ed25519.PublicKey(point)
	case algX25519:
		public, err := ecdh.X25519().NewPublicKey(point)
		if err != nil {
			t.Fatal(err)
		}
		return public
	}
	n, _ := apdu.FindTLV(objects, 0x81)
	e, _ := apdu.FindTLV(objects, 0x82)
	return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}
}

func TestECDSA(t *testing.T) {
	c := newClient(t)
	c.authenticate()
	hash256, hash384 := sha256.Sum256([]byte("message")), sha512.Sum384([]byte("message"))
	sha := sha1.Sum([]byte("message"))
	for _, tt := range []struct {
		alg  algorithm
		hash []byte
	}{{algP256, hash256[:]}, {algP256, sha[:]}, {algP384, hash384[:]}, {algP384, hash256[:]}} {
		public := publicKey(t, tt.alg, c.generate(slotAuthentication, tt.alg)).(*ecdsa.PublicKey)
		signature := c.use(slotAuthentication, tt.alg, 0x81, tt.hash)
		if !ecdsa.VerifyASN1(public, tt.hash, signature) {
			t.Errorf("algorithm %02X, hash of %d bytes: wrong signature", byte(tt.alg), len(tt.hash))
		}
	}
}

func TestEd25519(t *testing.T) {
	c := newClient(t)
	c.authenticate()
	public := publicKey(t, algEd25519, c.generate(slotRetiredLast, algEd25519)).(ed25519.PublicKey)
	for _, n := range []int{0, 1, 3000} {
		message := bytes.Repeat([]byte{0xA5}, n)
		if !ed25519.Verify(public, message, c.use(slotRetiredLast, algEd25519, 0x81, message)) {
			t.Errorf("message of %d bytes: wrong signature", n)
		}
	}
}

// RFC 8032, 7.1, TEST 2 and TEST 3.
func TestEd25519Vectors(t *testing.T) {
	for _, tt := range []struct{ seed, public, message, signature string }{
		{
			"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
			"3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
			"72",
			"92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
		},
		{
			"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
			"fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
			"af82",
			"6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
		},
	} {
		c := newClient(t)
		c.authenticate()
		c.ok(0xFE, 0xE0, 0x9E, apdu.AppendTLV(nil, 0x07, unhex(tt.seed)))
		if got, want := c.use(slotCardAuthentication, algEd25519, 0x81, unhex(tt.message)), unhex(tt.signature); !bytes.Equal(got, want) {
			t.Errorf("got % X, want % X", got, want)
		}
		if public, _ := apdu.FindTLV(c.ok(0xF7, 0, 0x9E), 0x04, 0x86); !bytes.Equal(public, unhex(tt.public)) {
			t.Errorf("public key % X", public)
		}
	}
}

// P-256 and P-384: NIST CAVP, ECC CDH Primitive (SP 800-56A, 5.7.1.2), CAVS
// 14.1, KAS_ECC_CDH_PrimitiveTest.txt, COUNT 0. X25519: RFC 7748, 6.1, as
// Alice and as Bob.
func TestKeyAgreementVectors(t *testing.T) {
	const (
		alice, alicePublic = "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a", "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"
		bob, bobPublic     = "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb", "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"
		shared             = "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"
	)
	for _, tt := range []struct {
		name                       string
		alg                        algorithm
		tag                        apdu.Tag
		private, point, want, mine string
	}{
		{
			"P-256", algP256, 0x06,
			"7d7dc5f71eb29ddaf80d6214632eeae03d9058af1fb6d22ed80badb62bc1a534",
			"04700c48f77f56584c5cc632ca65640db91b6bacce3a4df6b42ce7cc838833d287db71e509e3fd9b060ddb20ba5c51dcc5948d46fbf640dfe0441782cab85fa4ac",
			"46fc62106420ff012e54a434fbdd2d25ccc5852060561e68040dd7778997bd7b",
			"04ead218590119e8876b29146ff89ca61770c4edbbf97d38ce385ed281d8a6b23028af61281fd35e2fa7002523acc85a429cb06ee6648325389f59edfce1405141",
		},
		{
			"P-384", algP384, 0x06,
			"3cc3122a68f0d95027ad38c067916ba0eb8c38894d22e1b15618b6818a661774ad463b205da88cf699ab4d43c9cf98a1",
			"04a7c76b970c3b5fe8b05d2838ae04ab47697b9eaf52e764592efda27fe7513272734466b400091adbf2d68c58e0c50066ac68f19f2e1cb879aed43a9969b91a0839c4c38a49749b661efedf243451915ed0905a32b060992b468c64766fc8437a",
			"5f9d29dc5e31a163060356213669c8ce132e22f57c9a04f40ba7fcead493b457e5621e766c40a2e3d4d6a04b25e533f1",
			"049803807f2f6d2fd966cdd0290bd410c0190352fbec7ff6247de1302df86f25d34fe4a97bef60cff548355c015dbb3e5fba26ca69ec2f5b5d9dad20cc9da711383a9dbe34ea3fa5a2af75b46502629ad54dd8b7d73a8abb06a3a3be47d650cc99",
		},
		{"X25519 Alice", algX25519, 0x08, alice, bobPublic, shared, alicePublic},
		{"X25519 Bob", algX25519, 0x08, bob, alicePublic, shared, bobPublic},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newClient(t)
			c.authenticate()
			c.ok(0xFE, byte(tt.alg), 0x9E, apdu.AppendTLV(nil, tt.tag, unhex(tt.private)))
			if got := c.use(slotCardAuthentication, tt.alg, 0x85, unhex(tt.point)); !bytes.Equal(got, unhex(tt.want)) {
				t.Errorf("got % X, want % X", got, unhex(tt.want))
			}
			if public, _ := apdu.FindTLV(c.ok(0xF7, 0, 0x9E), 0x04, 0x86); !bytes.Equal(public, unhex(tt.mine)) {
				t.Errorf("public key % X", public)
			}
		})
	}
}

// An all-zero X25519 result (RFC 7748, 6.1) and points off the curve give
// nothing away.
func TestKeyAgreementRefusesBadPoints(t *testing.T) {
	c := newClient(t)
	c.authenticate()
	c.generate(slotKeyManagement, algX25519)
	c.refused(apdu.SWWrongData, 0x87, 0xE1, 0x9D, template(0x85, make([]byte, 32)))
	c.refused(apdu.SWWrongData, 0x87, 0xE1, 0x9D, template(0x85, make([]byte, 31)))
	c.refused(apdu.SWWrongData, 0x87, 0xE1, 0x9D, template(0x81, make([]byte, 32)))
	c.generate(slotKeyManagement, algP256)
	off := append([]byte{4}, bytes.Repeat([]byte{1}, 64)...)
	c.refused(apdu.SWWrongData, 0x87, 0x11, 0x9D, template(0x85, off))
	c.refused(apdu.SWWrongData, 0x87, 0x11, 0x9D, template(0x85, []byte{0}))
	c.refused(apdu.SWWrongData, 0x87, 0x11, 0x9D, template(0x85, nil))
	c.generate(slotKeyManagement, algEd25519)
	c.refused(apdu.SWWrongData, 0x87, 0xE0, 0x9D, template(0x85, make([]byte, 32)))
}

// importVector brings the key of the RSA vectors into 9E.
func (c *client) importVector() {
	c.t.Helper()
	var data []byte
	for i, number := range []string{vectorP, vectorQ, vectorDP, vectorDQ, vectorQInv} {
		data = apdu.AppendTLV(data, apdu.Tag(i+1), unhex(number))
	}
	c.ok(0xFE, 0x07, 0x9E, data)
}

// mgf1 and emsaPSS are RFC 8017, B.2.1 and 9.1.1, for SHA-1 and 2,047 bits.
func mgf1(seed []byte, n int) (mask []byte) {
	for i := uint32(0); len(mask) < n; i++ {
		h := sha1.Sum(binary.BigEndian.AppendUint32(bytes.Clone(seed), i))
		mask = append(mask, h[:]...)
	}
	return mask[:n]
}

func emsaPSS(message, salt []byte) []byte {
	digest := sha1.Sum(message)
	h := sha1.Sum(bytes.Join([][]byte{make([]byte, 8), digest[:], salt}, nil))
	db := append(make([]byte, 256-20-1-len(salt)-1), 1)
	db = append(db, salt...)
	for i, m := range mgf1(h[:], len(db)) {
		db[i] ^= m
	}
	db[0] &= 0x7F
	return append(append(db, h[:]...), 0xBC)
}

func TestRSAVectors(t *testing.T) {
	c := newClient(t)
	c.authenticate()
	c.importVector()
	if n, _ := apdu.FindTLV(c.ok(0xF7, 0, 0x9E), 0x04, 0x81); !bytes.Equal(n, unhex(vectorN)) {
		t.Errorf("modulus % X", n)
	}
	for i, tt := range pssVectors {
		got := c.use(slotCardAuthentication, algRSA2048, 0x81, emsaPSS(unhex(tt.message), unhex(tt.salt)))
		if !bytes.Equal(got, unhex(tt.signature)) {
			t.Errorf("example 10.%d: got % X", i+1, got)
		}
	}
}

// prefixSHA256 is the DigestInfo of RFC 8017, 9.2, note 1, before the hash.
var prefixSHA256 = unhex("3031300d060960864801650304020105000420")

func blockPKCS1(size int, content []byte) []byte {
	block := bytes.Repeat([]byte{0xFF}, size)
	copy(block, []byte{0, 1})
	copy(block[size-len(content)-1:], append([]byte{0}, content...))
	return block
}

func TestRSASignsAndDecrypts(t *testing.T) {
	algorithms := []algorithm{algRSA2048, algRSA3072}
	if !testing.Short() {
		algorithms = append(algorithms, algRSA4096)
	}
	c := newClient(t)
	c.authenticate()
	hash := sha256.Sum256([]byte("message"))
	for _, a := range algorithms {
		public := publicKey(t, a, c.generate(slotKeyManagement, a)).(*rsa.PublicKey)
		if public.N.BitLen() != a.rsaBits() || public.E != 65537 {
			t.Fatalf("algorithm %02X: %d bits, exponent %d", byte(a), public.N.BitLen(), public.E)
		}
		signature := c.use(slotKeyManagement, a, 0x81, blockPKCS1(public.Size(), append(prefixSHA256, hash[:]...)))
		if err := rsa.VerifyPKCS1v15(public, crypto.SHA256, hash[:], signature); err != nil {
			t.Errorf("algorithm %02X: %v", byte(a), err)
		}
		for _, plain := range []*big.Int{big.NewInt(0), big.NewInt(1), new(big.Int).Sub(public.N, big.NewInt(1)), random(t, public.N)} {
			c.decrypts(a, public, plain)
		}
		c.refused(apdu.SWWrongData, 0x87, byte(a), 0x9D, template(0x81, public.N.Bytes()))
		c.refused(apdu.SWWrongData, 0x87, byte(a), 0x9D, template(0x81, make([]byte, public.Size()-1)))
		c.refused(apdu.SWWrongData, 0x87, byte(a), 0x9D, template(0x81, make([]byte, public.Size()+1)))
		c.refused(apdu.SWWrongData, 0x87, byte(a), 0x9D, template(0x85, make([]byte, public.Size())))
	}
}

func random(t testing.TB, below *big.Int) *big.Int {
	t.Helper()
	x, err := rand.Int(rand.Reader, below)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func (c *client) decrypts(a algorithm, public *rsa.PublicKey, plain *big.Int) {
	c.t.Helper()
	size := public.Size()
	cipher := new(big.Int).Exp(plain, big.NewInt(int64(public.E)), public.N).FillBytes(make([]byte, size))
	got := c.use(slotKeyManagement, a, 0x81, cipher)
	if !bytes.Equal(got, plain.FillBytes(make([]byte, size))) {
		c.t.Errorf("algorithm %02X: decrypted to % X", byte(a), got)
	}
}

func TestSignatureContent(t *testing.T) {
	for _, tt := range []struct {
		name  string
		block []byte
		want  []byte
	}{
		{"signature", blockPKCS1(256, []byte("content")), []byte("content")},
		{"longest", blockPKCS1(256, bytes.Repeat([]byte{7}, 256-11)), bytes.Repeat([]byte{7}, 256-11)},
		{"seven FF", blockPKCS1(256, bytes.Repeat([]byte{7}, 256-10)), nil},
		{"no content", blockPKCS1(256, nil), nil},
		{"encryption block", append([]byte{0, 2}, blockPKCS1(256, []byte{1})[2:]...), nil},
		{"no end", append([]byte{0, 1}, bytes.Repeat([]byte{0xFF}, 254)...), nil},
		{"other byte in the padding", append(unhex("0001FFFFFFFFFFFFFFFFFFFE00"), 1), nil},
	} {
		got, ok := signatureContent(tt.block)
		if ok != (tt.want != nil) || !bytes.Equal(got, tt.want) {
			t.Errorf("%s: got % X, %v", tt.name, got, ok)
		}
	}
}

// Both ways of the raw operation are one function.
func TestRSAPathsAgree(t *testing.T) {
	c := newClient(t)
	c.authenticate()
	c.importVector()
	private := c.card.app.state.keys[slotCardAuthentication].private.(*rsa.PrivateKey)
	block := blockPKCS1(256, []byte("content"))
	want, err := rsaPrivate(private, rand.Reader, block)
	if err != nil {
		t.Fatal(err)
	}
	got, err := blindedRSA(private, rand.Reader, new(big.Int).SetBytes(block))
	if err != nil || !bytes.Equal(got.FillBytes(make([]byte, 256)), want) {
		t.Errorf("got %X, %v, want %X", got, err, want)
	}
}

// A computation that went wrong in one of the primes must not leave the card.
func TestRSAFaultIsWithheld(t *testing.T) {
	c := newClient(t)
	c.authenticate()
	c.importVector()
	sound := c.card.app.state.keys[slotCardAuthentication].private.(*rsa.PrivateKey)
	faulty := *sound
	faulty.Precomputed.Dp = new(big.Int).Add(sound.Precomputed.Dp, big.NewInt(2))
	if _, err := rsaPrivate(&faulty, rand.Reader, append([]byte{0, 2}, make([]byte, 254)...)); err != errRSAFault {
		t.Errorf("got %v, want %v", err, errRSAFault)
	}
}

// zeros is a random source that has broken down and does not say so.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// Without random numbers nothing is computed unblinded and no exchange begins.
func TestNoRandomNumbers(t *testing.T) {
	c := newClient(t)
	c.authenticate()
	c.importVector()
	c.generate(slotAuthentication, algP256)
	for name, source := range map[string]io.Reader{"error": iotest.ErrReader(io.ErrNoProgress), "zeros": zeros{}} {
		c.card.random = source
		if r := c.send(0x87, 0x07, 0x9E, template(0x81, append([]byte{0, 2}, make([]byte, 254)...))); r.SW != apdu.SWUnknown || len(r.Data) != 0 {
			t.Errorf("%s: RSA answers %v with %d bytes", name, r.SW, len(r.Data))
		}
	}
	c.card.random = iotest.ErrReader(io.ErrNoProgress)
	c.refused(apdu.SWUnknown, 0x87, 0x03, 0x9B, unhex("7C028000"))
	c.refused(apdu.SWUnknown, 0x87, 0x03, 0x9B, unhex("7C028100"))
	c.refused(apdu.SWUnknown, 0xF9, 0x9A, 0)
	if _, err := Package().Modules[0].Install(c.card, moduleAID, nil); err == nil {
		t.Error("installed without random numbers")
	}
}
