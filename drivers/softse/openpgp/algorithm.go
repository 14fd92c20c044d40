package openpgp

import (
	"crypto/elliptic"
	"encoding/binary"
	"slices"

	"github.com/cloud-of-se/tses/apdu"
)

// slot is one of the three keys.
type slot int

const (
	slotSign slot = iota
	slotDecrypt
	slotAuthenticate
	slots
)

// slotOf is the key that a control reference template names: B6 (signature), B8
// (confidentiality) or A4 (authentication), empty or with the number of the key
// in 84 (clause 7.2.14).
func slotOf(crt apdu.TLV) (slot, error) {
	var s slot
	switch crt.Tag {
	case 0xB6:
		s = slotSign
	case 0xB8:
		s = slotDecrypt
	case 0xA4:
		s = slotAuthenticate
	default:
		return 0, apdu.SWWrongData
	}
	if n, ok := apdu.FindTLV(crt.Value, 0x84); len(crt.Value) != 0 && (!ok || len(n) != 1 || n[0] != byte(s)+1) {
		return 0, apdu.SWWrongData
	}
	return s, nil
}

// attributes are the algorithm attributes of a key (clause 4.4.3.9): the public
// key algorithm as OpenPGP numbers it; for RSA the bits of modulus and exponent
// and the format of import; for others the curve's OID, with or without a last
// byte for the format of import.
type attributes string

const (
	algRSA   = 1
	algECDH  = 18
	algECDSA = 19
	algEdDSA = 22

	defaultAttributes attributes = "\x01\x08\x00\x00\x20\x00" // RSA 2048, import of e, p and q
)

// curve is one that the card computes with.
type curve struct {
	oid      string
	elliptic elliptic.Curve // nil for the two of RFC 7748 and RFC 8032
	uses     []byte         // algorithms
}

var curves = []curve{
	{"\x2A\x86\x48\xCE\x3D\x03\x01\x07", elliptic.P256(), []byte{algECDSA, algECDH}},
	{"\x2B\x81\x04\x00\x22", elliptic.P384(), []byte{algECDSA, algECDH}},
	{"\x2B\x81\x04\x00\x23", elliptic.P521(), []byte{algECDSA, algECDH}},
	{"\x2B\x06\x01\x04\x01\xDA\x47\x0F\x01", nil, []byte{algEdDSA}},    // Ed25519
	{"\x2B\x06\x01\x04\x01\x97\x55\x01\x05\x01", nil, []byte{algECDH}}, // X25519
}

func (a attributes) algorithm() byte {
	if len(a) == 0 {
		return 0
	}
	return a[0]
}

// rsaBits is the length of the modulus, 0 for what is not RSA.
func (a attributes) rsaBits() int {
	if a.algorithm() != algRSA || len(a) != 6 {
		return 0
	}
	return int(binary.BigEndian.Uint16([]byte(a[1:3])))
}

// curve is the curve of what is not RSA.
func (a attributes) curve() (curve, bool) {
	for _, c := range curves {
		if oid := a[min(1, len(a)):]; string(oid) == c.oid || len(oid) == len(c.oid)+1 && string(oid[:len(c.oid)]) == c.oid {
			return c, slices.Contains(c.uses, a.algorithm())
		}
	}
	return curve{}, false
}

// fit tells whether the key may have the attributes.
func (s slot) fit(a attributes) bool {
	switch a.rsaBits() {
	case 2048, 3072, 4096:
		e := int(a[3])<<8 | int(a[4])
		return e >= 17 && e <= 32 && a[5] <= 3
	}
	c, ok := a.curve()
	if last := a[len(a)-min(1, len(a)):]; !ok || len(a) > 1+len(c.oid) && last != "\x00" && last != "\xFF" {
		return false
	}
	return (a.algorithm() == algECDH) == (s == slotDecrypt)
}

// algorithmInformation is the value of DO FA (clause 4.4.3.11): all attributes
// that each key may have.
func algorithmInformation() (b []byte) {
	for s := range slots {
		tag := doAlgorithmSign + apdu.Tag(s)
		for _, bits := range []uint16{2048, 3072, 4096} {
			b = apdu.AppendTLV(b, tag, []byte{algRSA, byte(bits >> 8), byte(bits), 0, 0x20, 0})
		}
		for _, c := range curves {
			for _, alg := range c.uses {
				if a := append([]byte{alg}, c.oid...); s.fit(attributes(a)) {
					b = apdu.AppendTLV(b, tag, a)
				}
			}
		}
	}
	return b
}
