package gp

import "github.com/cloud-of-se/tses/apdu"

// Data objects of a security domain (GlobalPlatform Card Specification
// 2.3.1, 11.3 and annex H).
const (
	tagIIN        apdu.Tag = 0x42
	tagCIN        apdu.Tag = 0x45
	tagURL        apdu.Tag = 0x5F50 // security domain manager URL
	tagCardData   apdu.Tag = 0x66
	tagCapability apdu.Tag = 0x67
	tagKeys       apdu.Tag = 0xE0
	tagCounter    apdu.Tag = 0xC1
	tagCPLC       apdu.Tag = 0x9F7F
)

func (s *session) getData(c apdu.Command) apdu.Response {
	switch class := c.CLA & 0x7F; {
	case class != 0:
		return apdu.Response{SW: apdu.SWClass}
	case len(c.Data) > 0:
		return apdu.Response{SW: apdu.SWWrongLength}
	}
	tag := apdu.Tag(c.P1)<<8 | apdu.Tag(c.P2)
	value := s.object(tag)
	if value == nil {
		return apdu.Response{SW: apdu.SWReferencedDataNotFound}
	}
	return apdu.Response{Data: apdu.AppendTLV(make([]byte, 0, len(value)+8), tag, value), SW: apdu.SWSuccess}
}

// object is the value of a data object, nil where there is none.
func (s *session) object(tag apdu.Tag) []byte {
	switch tag {
	case tagIIN:
		return s.d.iin
	case tagCIN:
		return s.d.cin
	case tagURL:
		return s.d.url
	case tagCardData:
		return cardData()
	case tagCapability:
		return capability()
	case tagKeys:
		return s.d.keyInformation()
	case tagCounter:
		holder := s.d.keyHolder()
		if len(holder.sets) == 0 {
			return nil
		}
		seq := holder.sets[0].sequence()
		return seq[:]
	case tagCPLC:
		return s.r.cplc()
	}
	return nil
}

// cplc is the card production life cycle data, 42 bytes, with the card's
// serial number as the IC serial number and no other claim.
func (r *Registry) cplc() []byte {
	b := make([]byte, 42)
	copy(b[12:16], r.serial[:])
	return b
}

// cardData is the value of the card data, the card recognition data (annex
// H.2): GlobalPlatform 2.3.1, SCP03 with i = 70.
func cardData() []byte {
	// 1.2.840.114283, the arc of GlobalPlatform; what follows it says what.
	oid := func(last ...byte) []byte {
		return apdu.AppendTLV(nil, 0x06, []byte{0x2A, 0x86, 0x48, 0x86, 0xFC, 0x6B}, last)
	}
	b := oid(1)
	b = apdu.AppendTLV(b, 0x60, oid(2, 2, 3, 1))
	b = apdu.AppendTLV(b, 0x63, oid(3))
	b = apdu.AppendTLV(b, 0x64, oid(4, scp, paramBase|paramPseudo))
	return apdu.AppendTLV(nil, 0x73, b)
}

// capability is the value of the card capability information (annex H.4).
func capability() []byte {
	var scp03 []byte
	scp03 = apdu.AppendTLV(scp03, 0x80, []byte{scp})
	scp03 = apdu.AppendTLV(scp03, 0x81, []byte{paramBase | paramPseudo, paramBase | paramPseudo | paramS16})
	scp03 = apdu.AppendTLV(scp03, 0x82, []byte{0x07}) // AES-128, 192 and 256
	b := apdu.AppendTLV(nil, 0xA0, scp03)
	forDomain, forApp := allowed(true), allowed(false)
	b = apdu.AppendTLV(b, 0x81, forDomain[:])
	return apdu.AppendTLV(b, 0x82, forApp[:])
}

// keyInformation is the value of the key information template (11.3.3.1). That
// of a domain without keys of its own has one empty entry, as fresh domains of
// other cards do: a host that is told that there is no template gives up.
func (d *domainState) keyInformation() []byte {
	if len(d.sets) == 0 {
		return apdu.AppendTLV(nil, 0xC0)
	}
	var b []byte
	for _, k := range d.sets {
		for i, key := range k.keys {
			b = apdu.AppendTLV(b, 0xC0, []byte{byte(keyENC + i), k.version, keyTypeAES, byte(len(key))})
		}
	}
	return b
}
