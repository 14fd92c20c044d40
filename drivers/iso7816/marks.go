package iso7816

// marks decodes what a tty with PARMRK delivers, across reads: FF 00 b is b
// with wrong parity or without stop bit, FF FF is FF.
type marks uint8

const (
	markNone marks = iota
	markFF         // FF came
	markFF00       // FF 00 came
)

// decode puts the characters in raw behind dst.
func (m *marks) decode(dst []Char, raw []byte) []Char {
	for _, b := range raw {
		switch {
		case *m == markFF00:
			dst = append(dst, Char{b, true})
			*m = markNone
		case *m == markFF && b == 0:
			*m = markFF00
		case *m == markFF:
			dst = append(dst, Char{b, false}) // FF; the kernel sends nothing else
			*m = markNone
		case b == 0xFF:
			*m = markFF
		default:
			dst = append(dst, Char{b, false})
		}
	}
	return dst
}
