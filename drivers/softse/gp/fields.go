package gp

import (
	"github.com/cloud-of-se/tses/apdu"
)

// fields reads the length-value fields of INSTALL. After an error every field
// is empty.
type fields struct {
	b   []byte
	bad bool
}

// next is the field of at most 255 bytes behind a length of one byte, or of
// two after 81 (GlobalPlatform Card Specification 2.3.1, 11.1.5).
func (f *fields) next() []byte {
	if f.bad || len(f.b) == 0 {
		f.bad = true
		return nil
	}
	n, at := int(f.b[0]), 1
	if n == 0x81 && len(f.b) > 1 {
		n, at = int(f.b[1]), 2
	} else if n > 0x80 {
		f.bad = true
	}
	if f.bad || n > len(f.b)-at {
		f.bad = true
		return nil
	}
	field := f.b[at : at+n]
	f.b = f.b[at+n:]
	return field
}

// aid is a field that is empty or an AID.
func (f *fields) aid() apdu.AID {
	b := f.next()
	if len(b) != 0 && (len(b) < 5 || len(b) > 16) {
		f.bad = true
	}
	return apdu.AID(b)
}

// empty is a field that must be.
func (f *fields) empty() {
	if len(f.next()) > 0 {
		f.bad = true
	}
}

// end tells whether everything was in order and nothing is left over.
func (f *fields) end() error {
	if f.bad || len(f.b) > 0 {
		return apdu.SWWrongData
	}
	return nil
}
