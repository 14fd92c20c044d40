package piv

import "github.com/cloud-of-se/tses/apdu"

// Tags of the policies in GENERATE and IMPORT.
const (
	tagPINPolicy   = apdu.Tag(0xAA)
	tagTouchPolicy = apdu.Tag(0xAB)
)

// takePolicies gives the key the policies that the data objects ask for, or
// the slot's defaults, and returns the other objects by tag. A policy of 00 is
// the default, as an absent one. An object that stands twice is refused.
func (k *key) takePolicies(s slot, objects []apdu.TLV) (map[apdu.Tag][]byte, error) {
	byTag := make(map[apdu.Tag][]byte, len(objects))
	for _, o := range objects {
		if _, twice := byTag[o.Tag]; twice {
			return nil, apdu.SWWrongData
		}
		byTag[o.Tag] = o.Value
	}
	k.pin, k.touch = s.defaultPINPolicy(), touchNever
	pin, err := takePolicy(byTag, tagPINPolicy)
	if err != nil {
		return nil, err
	}
	if pin != 0 {
		k.pin = pinPolicy(pin)
	}
	touch, err := takePolicy(byTag, tagTouchPolicy)
	if err != nil {
		return nil, err
	}
	if touch != 0 {
		k.touch = touchPolicy(touch)
	}
	if !k.pin.valid() || !k.touch.valid() {
		return nil, apdu.SWWrongData
	}
	return byTag, nil
}

func takePolicy(byTag map[apdu.Tag][]byte, tag apdu.Tag) (byte, error) {
	value, ok := byTag[tag]
	if !ok {
		return 0, nil
	}
	delete(byTag, tag)
	if len(value) != 1 {
		return 0, apdu.SWWrongData
	}
	return value[0], nil
}
