package pcsclite

import "fmt"

// ReaderState is what a resource manager publishes of one reader.
type ReaderState struct {
	Name     string
	Events   uint32 // insertions and removals since the reader was plugged
	Status   Status
	Sharing  int32 // connections, -1 for an exclusive one
	ATR      []byte
	Protocol Protocol // the one in use, 0 with none
}

// stateSize is the length of a reader's record. The ATR's field has 33 bytes
// and three of padding.
const stateSize = MaxName + 1 + 4 + 4 + 4 + MaxATR + 3 + 4 + 4

const (
	stateEvents   = MaxName + 1
	stateStatus   = stateEvents + 4
	stateSharing  = stateStatus + 4
	stateATR      = stateSharing + 4
	stateATRLen   = stateATR + MaxATR + 3
	stateProtocol = stateATRLen + 4
)

// appendState encodes a reader's record behind dst. The name and the ATR are
// within their bounds.
func appendState(dst []byte, s ReaderState) []byte {
	var b [stateSize]byte
	copy(b[:MaxName], s.Name)
	order.PutUint32(b[stateEvents:], s.Events)
	order.PutUint32(b[stateStatus:], uint32(s.Status))
	order.PutUint32(b[stateSharing:], uint32(s.Sharing))
	n := copy(b[stateATR:stateATR+MaxATR], s.ATR)
	order.PutUint32(b[stateATRLen:], uint32(n))
	order.PutUint32(b[stateProtocol:], uint32(s.Protocol))
	return append(dst, b[:]...)
}

// parseState decodes a reader's record. An empty name is a free place.
func parseState(b []byte) (ReaderState, error) {
	if len(b) != stateSize {
		return ReaderState{}, fmt.Errorf("%w: a reader's record has %d bytes, not %d", errMalformed, stateSize, len(b))
	}
	n := order.Uint32(b[stateATRLen:])
	if n == MaxATR+1 {
		n = 0 // pcscd's mark of a reader that is still starting
	}
	if n > MaxATR {
		return ReaderState{}, fmt.Errorf("%w: an ATR of %d bytes, the most are %d", errMalformed, n, MaxATR)
	}
	return ReaderState{
		Name:     text(b[:MaxName]),
		Events:   order.Uint32(b[stateEvents:]),
		Status:   Status(order.Uint32(b[stateStatus:])),
		Sharing:  int32(order.Uint32(b[stateSharing:])),
		ATR:      append([]byte(nil), b[stateATR:stateATR+n]...),
		Protocol: Protocol(order.Uint32(b[stateProtocol:])),
	}, nil
}
