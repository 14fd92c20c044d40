package piv

import "github.com/cloud-of-se/tses/apdu"

// Tags of GET METADATA.
const (
	metaAlgorithm = apdu.Tag(0x01)
	metaPolicies  = apdu.Tag(0x02) // PIN, touch
	metaOrigin    = apdu.Tag(0x03)
	metaPublicKey = apdu.Tag(0x04)
	metaDefault   = apdu.Tag(0x05) // 01 as in a new instance
	metaRetries   = apdu.Tag(0x06) // total, left
)

// metadata is the extension GET METADATA: P2 PIN, PUK, management key or the
// slot of a private key.
func (s *selection) metadata(c apdu.Command) ([]byte, error) {
	if c.P1 != 0 {
		return nil, apdu.SWIncorrectP1P2
	}
	if len(c.Data) != 0 {
		return nil, apdu.SWWrongLength
	}
	st := &s.app.state
	switch {
	case c.P2 == refPIN:
		return st.pin.metadata(defaultPIN), nil
	case c.P2 == refPUK:
		return st.puk.metadata(defaultPUK), nil
	case c.P2 == refManagement:
		return st.management.metadata(), nil
	}
	k, ok := st.keys[slot(c.P2)] // none for what is no slot: tools ask so whether there is a fingerprint
	if !ok {
		return nil, apdu.SWReferencedDataNotFound
	}
	return k.metadata()
}

func (r *reference) metadata(factory string) []byte {
	out := apdu.AppendTLV(nil, metaAlgorithm, []byte{byte(algNone)})
	out = apdu.AppendTLV(out, metaDefault, flag(r.isDefault(factory)))
	return apdu.AppendTLV(out, metaRetries, []byte{r.total, r.left})
}

// metadata tells no PIN policy, 00, as the management key has none.
func (m *managementKey) metadata() []byte {
	out := apdu.AppendTLV(nil, metaAlgorithm, []byte{byte(m.algorithm)})
	out = apdu.AppendTLV(out, metaPolicies, []byte{0, byte(m.touch)})
	return apdu.AppendTLV(out, metaDefault, flag(m.isDefault()))
}

func (k *key) metadata() ([]byte, error) {
	public, err := k.publicObjects()
	if err != nil {
		return nil, err
	}
	out := apdu.AppendTLV(nil, metaAlgorithm, []byte{byte(k.algorithm)})
	out = apdu.AppendTLV(out, metaPolicies, []byte{byte(k.pin), byte(k.touch)})
	out = apdu.AppendTLV(out, metaOrigin, []byte{byte(k.origin)})
	return apdu.AppendTLV(out, metaPublicKey, public), nil
}

func flag(set bool) []byte {
	if set {
		return []byte{1}
	}
	return []byte{0}
}
