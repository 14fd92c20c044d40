package piv

import (
	"bytes"

	"github.com/cloud-of-se/tses/apdu"
)

// Data objects with rules of their own (SP 800-73-4 part 1, table 3, and the
// extensions).
const (
	objectDiscovery   = apdu.Tag(0x7E)
	objectBiometric   = apdu.Tag(0x7F61)
	objectFingers     = apdu.Tag(0x5FC103)
	objectFace        = apdu.Tag(0x5FC108)
	objectPrinted     = apdu.Tag(0x5FC109)
	objectIris        = apdu.Tag(0x5FC121)
	objectPairing     = apdu.Tag(0x5FC123)
	objectAttestation = apdu.Tag(0x5FFF01)

	tagList = apdu.Tag(0x5C)
	tagData = apdu.Tag(0x53)
)

// Bounds of the data objects. The longest one of the origin of the extensions
// is 3,052 bytes; certificates with RSA 4096 may need more.
const (
	maxObject  = 8192       // bytes of one object
	maxObjects = 128        // objects
	maxStored  = 128 * 1024 // bytes of all of them
)

// storable tells whether a data object of that tag can be written: 5F0000 to
// 5FFFFF, in which both the standard's and private objects lie.
func storable(t apdu.Tag) bool { return t>>16 == 0x5F }

// needsPIN tells whether reading the object needs the PIN (SP 800-73-4 part
// 1, table 3).
func needsPIN(t apdu.Tag) bool {
	switch t {
	case objectFingers, objectFace, objectPrinted, objectIris, objectPairing:
		return true
	}
	return false
}

// getData is GET DATA (SP 800-73-4 part 2, 3.1.2). The PIN is asked for before
// the answer tells whether the object is there.
func (s *selection) getData(c apdu.Command) ([]byte, error) {
	tag, rest, err := objectTag(c)
	if err != nil {
		return nil, err
	}
	if len(rest) != 0 {
		return nil, apdu.SWWrongData
	}
	switch {
	case tag == objectDiscovery:
		return s.app.discovery(), nil
	case tag != objectBiometric && !storable(tag):
		return nil, apdu.SWFileNotFound
	case needsPIN(tag) && !s.hasPIN():
		return nil, apdu.SWSecurityStatus
	}
	value, ok := s.app.state.objects[tag]
	if !ok {
		return nil, apdu.SWFileNotFound
	}
	return apdu.AppendTLV(nil, tagData, value), nil
}

// discovery is the discovery object (SP 800-73-4 part 1, 3.3.2): the AID, and
// that the PIV card application PIN, and it alone, is what the rules ask for.
func (a *application) discovery() []byte {
	t := apdu.AppendTLV(nil, 0x4F, []byte(a.instance))
	t = apdu.AppendTLV(t, 0x5F2F, []byte{0x40, 0x00})
	return apdu.AppendTLV(nil, objectDiscovery, t)
}

// putData is PUT DATA (SP 800-73-4 part 2, 3.3.1). An empty 53 deletes. The
// discovery object is made, not stored, and there are no biometrics.
func (s *selection) putData(c apdu.Command) error {
	if c.P1 != 0x3F || c.P2 != 0xFF {
		return apdu.SWIncorrectP1P2
	}
	if err := s.needManagement(); err != nil {
		return err
	}
	if first, _, err := apdu.ReadTLV(c.Data); err == nil && (first.Tag == objectDiscovery || first.Tag == objectBiometric) {
		return apdu.SWFunctionNotSupported
	}
	tag, rest, err := objectTag(c)
	if err != nil {
		return err
	}
	data, rest, err := apdu.ReadTLV(rest)
	if err != nil || data.Tag != tagData || len(rest) != 0 {
		return apdu.SWWrongData
	}
	if !storable(tag) {
		return apdu.SWFunctionNotSupported
	}
	return s.app.putObject(tag, data.Value)
}

// objectTag reads P1 P2, which name the current application, and the tag list
// with the one tag of the object.
func objectTag(c apdu.Command) (tag apdu.Tag, rest []byte, err error) {
	if c.P1 != 0x3F || c.P2 != 0xFF {
		return 0, nil, apdu.SWIncorrectP1P2
	}
	list, rest, err := apdu.ReadTLV(c.Data)
	if err != nil || list.Tag != tagList || len(list.Value) == 0 || len(list.Value) > 3 {
		return 0, nil, apdu.SWWrongData
	}
	for _, b := range list.Value {
		tag = tag<<8 | apdu.Tag(b)
	}
	return tag, rest, nil
}

func (a *application) putObject(tag apdu.Tag, value []byte) error {
	objects := a.state.objects
	old, had := objects[tag]
	if len(value) == 0 {
		if !had {
			return nil
		}
		delete(objects, tag)
	} else {
		if !a.state.hasRoom(tag, len(value)) {
			return apdu.SWNotEnoughMemory
		}
		objects[tag] = bytes.Clone(value)
	}
	return a.commit(func() {
		delete(objects, tag)
		if had {
			objects[tag] = old
		}
	})
}

// hasRoom tells whether the object may have n bytes, beside the others.
func (st *state) hasRoom(tag apdu.Tag, n int) bool {
	count, total := 1, n
	for other, value := range st.objects {
		if other != tag {
			count, total = count+1, total+len(value)
		}
	}
	return n <= maxObject && count <= maxObjects && total <= maxStored
}
