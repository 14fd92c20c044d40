package apdu

import "fmt"

// Tag is the tag field of a BER-TLV data object as a number, its bytes in
// order: 0x6F, 0x7F49, 0x5FC105 (ISO/IEC 7816-4, 6.3). Up to three bytes are
// taken, which is what the standard's own data objects need.
type Tag uint32

// Constructed tells whether the value is itself a string of data objects (bit
// 6 of the tag's first byte).
func (t Tag) Constructed() bool {
	for t > 0xFF {
		t >>= 8
	}
	return t&0x20 != 0
}

// TLV is one BER-TLV data object. Value aliases what was parsed.
type TLV struct {
	Tag   Tag
	Value []byte
}

// ReadTLV reads the first data object of b and returns what follows it. The
// length field may have one to four bytes (ISO/IEC 7816-4, 6.3, table 33);
// errors match [ErrMalformed].
func ReadTLV(b []byte) (t TLV, rest []byte, err error) {
	tag, b, err := readTag(b)
	if err != nil {
		return TLV{}, nil, err
	}
	n, b, err := readLength(b)
	if err != nil {
		return TLV{}, nil, fmt.Errorf("data object %X: %w", uint32(tag), err)
	}
	if n > len(b) {
		return TLV{}, nil, malformed("BER-TLV", "data object %X announces %d bytes, %d are there", uint32(tag), n, len(b))
	}
	return TLV{Tag: tag, Value: b[:n:n]}, b[n:], nil
}

func readTag(b []byte) (Tag, []byte, error) {
	if len(b) == 0 {
		return 0, nil, malformed("BER-TLV", "no tag")
	}
	tag := Tag(b[0])
	if b[0]&0x1F != 0x1F {
		return tag, b[1:], nil
	}
	for i := 1; i < 3 && i < len(b); i++ {
		tag = tag<<8 | Tag(b[i])
		if b[i]&0x80 == 0 {
			return tag, b[i+1:], nil
		}
	}
	return 0, nil, malformed("BER-TLV", "tag field %X does not end within 3 bytes", uint32(tag))
}

func readLength(b []byte) (int, []byte, error) {
	if len(b) == 0 {
		return 0, nil, malformed("BER-TLV", "no length")
	}
	n := int(b[0])
	if n < 0x80 {
		return n, b[1:], nil
	}
	size := n & 0x7F
	if size == 0 || size > 3 || len(b) < 1+size {
		return 0, nil, malformed("BER-TLV", "length field %02X is not of 1 to 4 bytes, or cut", b[0])
	}
	n = 0
	for _, v := range b[1 : 1+size] {
		n = n<<8 | int(v)
	}
	return n, b[1+size:], nil
}

// ParseTLVs reads b as data objects one after the other, to its end.
func ParseTLVs(b []byte) ([]TLV, error) {
	var all []TLV
	for len(b) > 0 {
		t, rest, err := ReadTLV(b)
		if err != nil {
			return nil, err
		}
		all, b = append(all, t), rest
	}
	return all, nil
}

// FindTLV returns the value of the first data object that path leads to: the
// first tag among the objects of b, the next one within its value, and so on.
// False says that there is none, or that b is malformed on the way.
func FindTLV(b []byte, path ...Tag) ([]byte, bool) {
	for _, want := range path {
		found := false
		for len(b) > 0 && !found {
			t, rest, err := ReadTLV(b)
			if err != nil {
				return nil, false
			}
			if found = t.Tag == want; found {
				b = t.Value
			} else {
				b = rest
			}
		}
		if !found {
			return nil, false
		}
	}
	return b, true
}

// AppendTLV encodes one data object behind dst, with the shortest length
// field. Several parts of a value are joined; together they have fewer than
// 16,777,216 bytes, and the tag at most three.
func AppendTLV(dst []byte, tag Tag, value ...[]byte) []byte {
	for shift := 16; shift > 0; shift -= 8 {
		if tag>>shift != 0 {
			dst = append(dst, byte(tag>>shift))
		}
	}
	dst = append(dst, byte(tag))
	n := 0
	for _, part := range value {
		n += len(part)
	}
	switch {
	case n < 0x80:
		dst = append(dst, byte(n))
	case n < 0x100:
		dst = append(dst, 0x81, byte(n))
	case n < 0x10000:
		dst = append(dst, 0x82, byte(n>>8), byte(n))
	default:
		dst = append(dst, 0x83, byte(n>>16), byte(n>>8), byte(n))
	}
	for _, part := range value {
		dst = append(dst, part...)
	}
	return dst
}
