package piv

import (
	"bytes"

	"github.com/cloud-of-se/tses/apdu"
)

const (
	tagGenerate  = apdu.Tag(0xAC)
	tagPublicKey = apdu.Tag(0x7F49)

	tagMechanism = apdu.Tag(0x80)
	tagParameter = apdu.Tag(0x81)
)

// generate is GENERATE ASYMMETRIC KEY PAIR (SP 800-73-4 part 2, 3.3.2): P2
// key reference, template AC with 80 the algorithm and the policies of the
// extensions. 81, the parameter, may be RSA's exponent 65,537.
func (s *selection) generate(c apdu.Command) ([]byte, error) {
	ref := slot(c.P2)
	if c.P1 != 0 || !ref.valid() {
		return nil, apdu.SWIncorrectP1P2
	}
	if err := s.needManagement(); err != nil {
		return nil, err
	}
	k := &key{origin: originGenerated}
	alg, err := k.readTemplate(ref, c.Data)
	if err != nil {
		return nil, err
	}
	private, err := newPrivate(alg, s.app.card.Rand())
	if err != nil {
		return nil, err
	}
	if err := k.setPrivate(private); err != nil {
		return nil, err
	}
	objects, err := k.publicObjects()
	if err != nil {
		return nil, err
	}
	if err := s.app.putKey(ref, k); err != nil {
		return nil, err
	}
	return apdu.AppendTLV(nil, tagPublicKey, objects), nil
}

func (k *key) readTemplate(ref slot, data []byte) (algorithm, error) {
	outer, rest, err := apdu.ReadTLV(data)
	if err != nil || outer.Tag != tagGenerate || len(rest) != 0 {
		return 0, apdu.SWWrongData
	}
	objects, err := apdu.ParseTLVs(outer.Value)
	if err != nil {
		return 0, apdu.SWWrongData
	}
	byTag, err := k.takePolicies(ref, objects)
	if err != nil {
		return 0, err
	}
	mechanism, exponent := byTag[tagMechanism], byTag[tagParameter]
	_, hasExponent := byTag[tagParameter]
	delete(byTag, tagMechanism)
	delete(byTag, tagParameter)
	if len(mechanism) != 1 || len(byTag) != 0 {
		return 0, apdu.SWWrongData
	}
	alg := algorithm(mechanism[0])
	if hasExponent && (alg.rsaBits() == 0 || !bytes.Equal(bytes.TrimLeft(exponent, "\x00"), []byte{1, 0, 1})) {
		return 0, apdu.SWWrongData
	}
	return alg, ref.accepts(alg)
}

// accepts refuses an algorithm that the slot has no use for: the attestation
// key has to sign.
func (s slot) accepts(a algorithm) error {
	if s == slotAttestation && a == algX25519 {
		return apdu.SWWrongData
	}
	return nil
}
