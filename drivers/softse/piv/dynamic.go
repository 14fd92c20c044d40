package piv

import "github.com/cloud-of-se/tses/apdu"

// Tags of the dynamic authentication template 7C (SP 800-73-4 part 2, table 7).
const (
	tagDynamic = apdu.Tag(0x7C)

	tagWitness        = apdu.Tag(0x80)
	tagChallenge      = apdu.Tag(0x81)
	tagResponse       = apdu.Tag(0x82)
	tagExponentiation = apdu.Tag(0x85)
)

// dynamic is the content of a template: which data objects are there, and
// their values, which may be empty.
type dynamic struct {
	present                                      uint8
	witness, challenge, response, exponentiation []byte
}

func bit(t apdu.Tag) uint8 { return 1 << (t - tagWitness) }

func (d *dynamic) has(t apdu.Tag) bool { return d.present&bit(t) != 0 }

// only tells whether these data objects are all that is there.
func (d *dynamic) only(a, b apdu.Tag) bool { return d.present == bit(a)|bit(b) }

// parseDynamicTemplate reads 7C and nothing after it. Each data object may
// stand once, in any order; others are refused.
func parseDynamicTemplate(data []byte) (dynamic, error) {
	outer, rest, err := apdu.ReadTLV(data)
	if err != nil || outer.Tag != tagDynamic || len(rest) != 0 {
		return dynamic{}, apdu.SWWrongData
	}
	var d dynamic
	for b := outer.Value; len(b) > 0; {
		var t apdu.TLV
		if t, b, err = apdu.ReadTLV(b); err != nil {
			return dynamic{}, apdu.SWWrongData
		}
		switch t.Tag {
		case tagWitness:
			d.witness = t.Value
		case tagChallenge:
			d.challenge = t.Value
		case tagResponse:
			d.response = t.Value
		case tagExponentiation:
			d.exponentiation = t.Value
		default:
			return dynamic{}, apdu.SWWrongData
		}
		if d.has(t.Tag) {
			return dynamic{}, apdu.SWWrongData
		}
		d.present |= bit(t.Tag)
	}
	return d, nil
}

// dynamicTemplate is a response: one data object in a template.
func dynamicTemplate(tag apdu.Tag, value []byte) []byte {
	inner := apdu.AppendTLV(make([]byte, 0, len(value)+4), tag, value)
	return apdu.AppendTLV(make([]byte, 0, len(inner)+4), tagDynamic, inner)
}
