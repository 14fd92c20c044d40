package apdu

// Response is one response APDU (ISO/IEC 7816-4, 5.1).
type Response struct {
	Data []byte // 0 to 65,536 bytes; [ParseResponse] does not copy
	SW   SW
}

// ParseResponse splits the answer of a card into data and status word. Fewer
// than 2 or more than [MaxResponse] bytes match [ErrMalformed]. Which values
// of SW1 are legal is not judged here: SIMs answer 9F and 91.
func ParseResponse(b []byte) (Response, error) {
	if len(b) < 2 || len(b) > MaxResponse {
		return Response{}, malformed("APDU", "a response has 2 to %d bytes, this one %d", MaxResponse, len(b))
	}
	n := len(b) - 2
	return Response{Data: b[:n:n], SW: SW(b[n])<<8 | SW(b[n+1])}, nil
}

// Append encodes the response behind dst.
func (r Response) Append(dst []byte) []byte {
	return append(append(dst, r.Data...), byte(r.SW>>8), byte(r.SW))
}

// Bytes is [Response.Append] to a new slice.
func (r Response) Bytes() []byte { return r.Append(make([]byte, 0, len(r.Data)+2)) }
