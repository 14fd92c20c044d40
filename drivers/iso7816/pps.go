package iso7816

import (
	"context"
	"errors"
	"fmt"
	"os"
)

// pps is a PPS request or response (ISO/IEC 7816-3, 9.2).
type pps struct {
	protocol int
	rate     byte // PPS1, coded as TA(1)
	hasRate  bool
}

// Bits of PPS0.
const (
	ppss    = 0xFF
	pps1Bit = 0x10
	pps2Bit = 0x20
	pps3Bit = 0x40
)

var errPPS = errors.New("PPS failed")

func (p pps) append(dst []byte) []byte {
	start := len(dst)
	dst = append(dst, ppss, byte(p.protocol))
	if p.hasRate {
		dst[start+1] |= pps1Bit
		dst = append(dst, p.rate)
	}
	return append(dst, xor(dst[start:]))
}

// parsePPS reads a whole PPS response; PPS2 and PPS3 were never asked for and
// must not be there (9.3).
func parsePPS(b []byte) (pps, error) {
	switch {
	case len(b) < 3 || b[0] != ppss || len(b) != ppsLength(b[1]):
		return pps{}, fmt.Errorf("%w: %X has not the form of a response", errPPS, b)
	case xor(b) != 0:
		return pps{}, fmt.Errorf("%w: %X: wrong check byte", errPPS, b)
	case b[1]&^(pps1Bit|0x0F) != 0:
		return pps{}, fmt.Errorf("%w: %X has what was not asked for", errPPS, b)
	}
	p := pps{protocol: int(b[1] & 0x0F)}
	if p.hasRate = b[1]&pps1Bit != 0; p.hasRate {
		p.rate = b[2]
	}
	return p, nil
}

// ppsLength is the number of bytes that PPS0 announces in all.
func ppsLength(pps0 byte) int {
	n := 3
	for _, bit := range []byte{pps1Bit, pps2Bit, pps3Bit} {
		if pps0&bit != 0 {
			n++
		}
	}
	return n
}

// accepts tells whether a response is one to this request: the same protocol,
// and the same rate or none, which means the default values.
func (p pps) accepts(response pps) bool {
	return response.protocol == p.protocol && (!response.hasRate || p.hasRate && response.rate == p.rate)
}

func xor(b []byte) byte {
	var sum byte
	for _, v := range b {
		sum ^= v
	}
	return sum
}

// exchangePPS asks the card for a protocol and a rate and returns what it
// accepts. Errors match errPPS where the card does not take part.
func (l *link) exchangePPS(ctx context.Context, request pps) (pps, error) {
	if _, err := l.send(ctx, request.append(nil), turnT0); err != nil {
		return pps{}, fmt.Errorf("%w: %w", errPPS, err)
	}
	raw, err := l.receivePPS(ctx)
	if err != nil {
		return pps{}, fmt.Errorf("%w: %w", errPPS, err)
	}
	response, err := parsePPS(raw)
	if err == nil && !request.accepts(response) {
		err = fmt.Errorf("%w: %X is no answer to %X", errPPS, raw, request.append(nil))
	}
	return response, err
}

func (l *link) receivePPS(ctx context.Context) ([]byte, error) {
	var raw []byte
	for n := 3; len(raw) < n; {
		b, err := l.read(ctx, l.etus(atrWait))
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil, fmt.Errorf("the response ends after %X", raw)
		}
		if err != nil {
			return nil, err
		}
		if raw = append(raw, b); len(raw) == 2 {
			n = ppsLength(b)
		}
	}
	return raw, nil
}
