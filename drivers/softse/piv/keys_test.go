package piv

import (
	"bytes"
	"crypto/rsa"
	"math/big"
	"testing"

	"github.com/cloud-of-se/tses/apdu"
)

func TestPINPolicies(t *testing.T) {
	hash := make([]byte, 32)
	for _, tt := range []struct {
		name   string
		slot   slot
		policy string
		before apdu.SW   // without the PIN
		uses   []apdu.SW // after it, one after the other
	}{
		{"authentication", slotAuthentication, "", apdu.SWSecurityStatus, []apdu.SW{ok, ok}},
		{"signature", slotSignature, "", apdu.SWSecurityStatus, []apdu.SW{ok, apdu.SWSecurityStatus}},
		{"key management", slotKeyManagement, "", apdu.SWSecurityStatus, []apdu.SW{ok, ok}},
		{"card authentication", slotCardAuthentication, "", ok, []apdu.SW{ok, ok}},
		{"retired", slotRetiredLast, "", apdu.SWSecurityStatus, []apdu.SW{ok, ok}},
		{"default asked for", slotSignature, "AA0100", apdu.SWSecurityStatus, []apdu.SW{ok, apdu.SWSecurityStatus}},
		{"never", slotSignature, "AA0101", ok, []apdu.SW{ok, ok}},
		{"once", slotCardAuthentication, "AA0102", apdu.SWSecurityStatus, []apdu.SW{ok, ok}},
		{"always", slotAuthentication, "AA0103", apdu.SWSecurityStatus, []apdu.SW{ok, apdu.SWSecurityStatus}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newClient(t)
			c.authenticate()
			policy := unhex(tt.policy)
			c.ok(0x47, 0, byte(tt.slot), []byte{0xAC, byte(3 + len(policy))}, unhex("800111"), policy)
			sign := func() apdu.SW { return c.send(0x87, 0x11, byte(tt.slot), template(0x81, hash)).SW }
			if got := sign(); got != tt.before {
				t.Errorf("without the PIN: %v", got)
			}
			c.verify("123456")
			c.ok(0xCB, 0x3F, 0xFF, unhex("5C017E")) // reading in between changes nothing
			for i, want := range tt.uses {
				if got := sign(); got != want {
					t.Errorf("use %d: got %v, want %v", i+1, got, want)
				}
			}
		})
	}
}

// The PIN that one key used up is used up for the others too.
func TestOnePINOneUse(t *testing.T) {
	c := newClient(t)
	c.authenticate()
	c.ok(0x47, 0, 0x9A, unhex("AC03800111"))
	c.ok(0x47, 0, 0x9C, unhex("AC03800111"))
	c.verify("123456")
	c.ok(0x87, 0x11, 0x9A, template(0x81, make([]byte, 32)))
	c.refused(apdu.SWSecurityStatus, 0x87, 0x11, 0x9C, template(0x81, make([]byte, 32)))
	c.ok(0x87, 0x11, 0x9A, template(0x81, make([]byte, 32)))
}

func TestEverySlot(t *testing.T) {
	c := newClient(t)
	c.authenticate()
	slots := []slot{0x9A, 0x9C, 0x9D, 0x9E}
	for s := slot(0x82); s <= 0x95; s++ {
		slots = append(slots, s)
	}
	for _, s := range slots {
		c.generate(s, algEd25519)
	}
	c = c.reload()
	for _, s := range slots {
		c.use(s, algEd25519, 0x81, []byte("message"))
		c.attested(s)
	}
}

func TestMetadataOfKeys(t *testing.T) {
	c := newClient(t)
	c.authenticate()
	c.refused(apdu.SWReferencedDataNotFound, 0xF7, 0, 0x9A)
	point := c.generate(slotAuthentication, algP256)
	want := append(unhex("010111 02020101 030101 0443"), point...)
	if got := c.ok(0xF7, 0, 0x9A); !bytes.Equal(got, want) {
		t.Errorf("generated: got % X, want % X", got, want)
	}
	c.ok(0xFE, 0xE0, 0x9A, apdu.AppendTLV(nil, 0x07, make([]byte, 32)), unhex("AA0103AB0103"))
	if got, want := c.ok(0xF7, 0, 0x9A), unhex("0101E0 02020303 030102 0422 8620"); !bytes.HasPrefix(got, want) {
		t.Errorf("imported: got % X, want % X ...", got, want)
	}
	if got, want := c.ok(0xF7, 0, 0xF9), unhex("010111 02020101 030101"); !bytes.HasPrefix(got, want) {
		t.Errorf("attestation key: got % X, want % X ...", got, want)
	}
}

func TestMoveAndDelete(t *testing.T) {
	c := newClient(t)
	c.authenticate()
	c.ok(0x47, 0, 0x9A, unhex("AC09 800111 AA0101 AB0102"))
	before := c.ok(0xF7, 0, 0x9A)
	c.ok(0xF6, 0x83, 0x9A)
	if got := c.ok(0xF7, 0, 0x83); !bytes.Equal(got, before) {
		t.Errorf("got % X, want % X", got, before)
	}
	c.refused(apdu.SWReferencedDataNotFound, 0xF7, 0, 0x9A)
	c.refused(apdu.SWReferencedDataNotFound, 0xF6, 0x84, 0x9A)
	c.generate(slotAuthentication, algP256)
	c.refused(apdu.SWConditionsNotSatisfied, 0xF6, 0x9A, 0x83)
	c.card.fail = func() bool { return true }
	c.refused(apdu.SWMemoryFailure, 0xF6, 0x84, 0x83)
	c.refused(apdu.SWMemoryFailure, 0xF6, 0xFF, 0x83)
	c.refused(apdu.SWMemoryFailure, 0x47, 0, 0x83, unhex("AC03800114"))
	c.refused(apdu.SWMemoryFailure, 0x47, 0, 0x84, unhex("AC03800114"))
	c.card.fail = nil
	c.refused(apdu.SWReferencedDataNotFound, 0xF7, 0, 0x84)
	if got := c.ok(0xF7, 0, 0x83); !bytes.Equal(got, before) {
		t.Errorf("after failed commits: got % X, want % X", got, before)
	}
	c.use(0x83, algP256, 0x81, make([]byte, 32))
	c.ok(0xF6, 0xFF, 0x83)
	c.refused(apdu.SWReferencedDataNotFound, 0xF7, 0, 0x83)
}

// vectorObjects are the five numbers of the RSA vectors' key, of which change
// replaces one by another value; no value leaves it out.
func vectorObjects(change apdu.Tag, value []byte) (data []byte) {
	for i, number := range []string{vectorP, vectorQ, vectorDP, vectorDQ, vectorQInv} {
		v := unhex(number)
		if tag := apdu.Tag(i + 1); tag == change {
			v = value
		}
		if v != nil {
			data = apdu.AppendTLV(data, apdu.Tag(i+1), v)
		}
	}
	return data
}

func TestImportRefusesWrongRSANumbers(t *testing.T) {
	c := newClient(t)
	c.authenticate()
	odd := append(bytes.Repeat([]byte{0xC1}, 127), 1)
	for tag := apdu.Tag(1); tag <= 5; tag++ {
		for name, value := range map[string][]byte{
			"absent": nil, "zero": make([]byte, 128), "other": odd, "FF": bytes.Repeat([]byte{0xFF}, 128),
			"short": make([]byte, 127), "long": make([]byte, 129),
		} {
			if r := c.send(0xFE, 0x07, 0x9A, vectorObjects(tag, value)); r.SW != apdu.SWWrongData {
				t.Errorf("number %d %s: %v", tag, name, r.SW)
			}
		}
	}
	c.refused(apdu.SWWrongData, 0xFE, 0x07, 0x9A, vectorObjects(2, unhex(vectorP)))
	c.refused(apdu.SWWrongData, 0xFE, 0x07, 0x9A, vectorObjects(0, nil), unhex("0601 01"))
	c.refused(apdu.SWWrongData, 0xFE, 0x05, 0x9A, vectorObjects(0, nil))
}

// rsaObjects are the five numbers of a key of p, q and e that all agree.
func rsaObjects(t *testing.T, p, q, e *big.Int) (data []byte) {
	t.Helper()
	one := big.NewInt(1)
	dp := new(big.Int).ModInverse(e, new(big.Int).Sub(p, one))
	dq := new(big.Int).ModInverse(e, new(big.Int).Sub(q, one))
	qinv := new(big.Int).ModInverse(q, p)
	if dp == nil || dq == nil || qinv == nil {
		t.Fatal("the numbers of the test have no inverses")
	}
	for i, x := range []*big.Int{p, q, dp, dq, qinv} {
		data = apdu.AppendTLV(data, apdu.Tag(i+1), x.FillBytes(make([]byte, 128)))
	}
	return data
}

// Numbers that agree with each other but are no primes make no key.
func TestImportRefusesComposites(t *testing.T) {
	c := newClient(t)
	c.authenticate()
	p, q := new(big.Int).SetBytes(unhex(vectorP)), new(big.Int).SetBytes(unhex(vectorQ))
	e, composite := big.NewInt(65537), new(big.Int).Add(p, big.NewInt(2))
	c.refused(apdu.SWWrongData, 0xFE, 0x07, 0x9E, rsaObjects(t, composite, q, e))
	c.refused(apdu.SWWrongData, 0xFE, 0x07, 0x9E, rsaObjects(t, q, composite, e))
}

// An exponent that is not 65,537 comes out of dP; one too long for the
// standard library is refused.
func TestImportFindsThePublicExponent(t *testing.T) {
	c := newClient(t)
	c.authenticate()
	p, q := new(big.Int).SetBytes(unhex(vectorP)), new(big.Int).SetBytes(unhex(vectorQ))
	c.refused(apdu.SWWrongData, 0xFE, 0x07, 0x9E, rsaObjects(t, p, q, big.NewInt(1<<31+11)))
	c.ok(0xFE, 0x07, 0x9E, rsaObjects(t, p, q, big.NewInt(1000003)))
	objects, _ := apdu.FindTLV(c.ok(0xF7, 0, 0x9E), 0x04)
	if public := publicKey(t, algRSA2048, objects).(*rsa.PublicKey); public.E != 1000003 {
		t.Errorf("exponent %d", public.E)
	}
}

func TestImportRefusesWrongValues(t *testing.T) {
	order := unhex("FFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551")
	for _, tt := range []struct {
		name string
		alg  algorithm
		data []byte
		want apdu.SW
	}{
		{"P-256 zero", algP256, apdu.AppendTLV(nil, 6, make([]byte, 32)), apdu.SWWrongData},
		{"P-256 order", algP256, apdu.AppendTLV(nil, 6, order), apdu.SWWrongData},
		{"P-256 short", algP256, apdu.AppendTLV(nil, 6, make([]byte, 31)), apdu.SWWrongData},
		{"P-256 under the tag of another", algP256, apdu.AppendTLV(nil, 7, bytes.Repeat([]byte{1}, 32)), apdu.SWWrongData},
		{"P-384 as long as P-256", algP384, apdu.AppendTLV(nil, 6, bytes.Repeat([]byte{1}, 32)), apdu.SWWrongData},
		{"Ed25519 long", algEd25519, apdu.AppendTLV(nil, 7, make([]byte, 33)), apdu.SWWrongData},
		{"X25519 short", algX25519, apdu.AppendTLV(nil, 8, make([]byte, 31)), apdu.SWWrongData},
		{"nothing", algX25519, nil, apdu.SWWrongData},
		{"twice", algX25519, append(apdu.AppendTLV(nil, 8, make([]byte, 32)), apdu.AppendTLV(nil, 8, make([]byte, 32))...), apdu.SWWrongData},
		{"more", algX25519, append(apdu.AppendTLV(nil, 8, make([]byte, 32)), 9, 0), apdu.SWWrongData},
		{"cut", algX25519, []byte{8, 32}, apdu.SWWrongData},
		{"PIN policy", algX25519, append(apdu.AppendTLV(nil, 8, make([]byte, 32)), unhex("AA0104")...), apdu.SWWrongData},
		{"touch policy", algX25519, append(apdu.AppendTLV(nil, 8, make([]byte, 32)), unhex("AB0104")...), apdu.SWWrongData},
		{"long policy", algX25519, append(apdu.AppendTLV(nil, 8, make([]byte, 32)), unhex("AB020101")...), apdu.SWWrongData},
		{"RSA 1024", 0x06, nil, apdu.SWIncorrectP1P2},
		{"AES", algAES128, nil, apdu.SWIncorrectP1P2},
	} {
		c := newClient(t)
		c.authenticate()
		if r := c.send(0xFE, byte(tt.alg), 0x9A, tt.data); r.SW != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, r.SW, tt.want)
		}
	}
}

func TestGenerateRefusesWrongTemplates(t *testing.T) {
	c := newClient(t)
	c.authenticate()
	for name, data := range map[string]string{
		"nothing":            "",
		"no template":        "800111",
		"no algorithm":       "AC00",
		"long algorithm":     "AC0480021111",
		"RSA 1024":           "AC03800106",
		"3DES":               "AC03800103",
		"more than it":       "AC0380011100",
		"cut":                "AC048001",
		"cut inside":         "AC03800211",
		"PIN policy 4":       "AC06800111AA0104",
		"touch policy 4":     "AC06800111AB0104",
		"empty policy":       "AC05800111AA00",
		"unknown object":     "AC05800111AD00",
		"twice":              "AC06800111800111",
		"exponent of P-256":  "AC088001118103010001",
		"exponent 3 for RSA": "AC06800107810103",
	} {
		if r := c.send(0x47, 0, 0x9A, unhex(data)); r.SW != apdu.SWWrongData {
			t.Errorf("%s: %v", name, r.SW)
		}
	}
	c.ok(0x47, 0, 0x9A, unhex("AC088001078103010001"))
}
