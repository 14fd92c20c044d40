package iso7816

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/cloud-of-se/tses/apdu"
	"github.com/cloud-of-se/tses/drivers"
)

// Times of the answer to reset (ISO/IEC 7816-3, 6.2 and 8.1; the whole of it as
// EMV Book 1, 8.3.3.1, has it), the first two in clocks, the others in etu.
const (
	resetClocks = 400
	muteClocks  = 40000
	atrWait     = 9600
	atrWhole    = 20160
)

// TS as a UART receives it that is set to even parity: that of inverse
// convention, LHHL LLL LLH, comes as 03 with wrong parity.
const (
	tsDirect  = 0x3B
	tsInverse = 0x03
)

// receiveATR takes an answer to reset off the line; RST went high at l.last.
// It sets the convention of the link. Inverse convention is read with the
// parity check the wrong way round: there is no time to switch the UART. With
// anyTCK a TCK may be missing, or be there without need.
func (l *link) receiveATR(ctx context.Context, first time.Duration, anyTCK bool) ([]byte, error) {
	if err := l.fill(ctx, 1, 0, first); err != nil {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil, fmt.Errorf("%w: no answer to reset", drivers.ErrMute)
		}
		return nil, err
	}
	end := time.Now().Add(l.etus(atrWhole) + l.slack)
	if err := l.convention(); err != nil {
		return nil, err
	}
	var atr []byte
	for len(atr) < apdu.MaxATR {
		b, err := l.read(ctx, l.etus(atrWait))
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return atr, cutShort(atr, anyTCK)
		case err == nil && time.Now().After(end):
			return nil, fmt.Errorf("%w: the answer to reset ends after %X", drivers.ErrProtocol, atr)
		case errors.Is(err, errParity):
			return nil, fmt.Errorf("%w: answer to reset: %w", drivers.ErrProtocol, err)
		case err != nil:
			return nil, err
		}
		atr = append(atr, b)
		if whole, err := l.atrEnds(ctx, atr, anyTCK); whole || err != nil {
			return atr, err
		}
	}
	return nil, fmt.Errorf("%w: the answer to reset %X does not end", drivers.ErrProtocol, atr)
}

// atrEnds tells whether an answer to reset is whole and nothing follows it.
func (l *link) atrEnds(ctx context.Context, atr []byte, anyTCK bool) (bool, error) {
	body, tck := atrLength(atr)
	if body == 0 || len(atr) < body+tck {
		return false, nil
	}
	err := l.quiet(ctx)
	switch {
	case errors.Is(err, errStale) && anyTCK && len(atr) == body:
		return false, nil // a TCK without need
	case errors.Is(err, errStale):
		return false, fmt.Errorf("%w: something follows the answer to reset %X", drivers.ErrProtocol, atr)
	}
	return err == nil, err
}

// cutShort judges an answer to reset that nothing follows although it is not
// whole.
func cutShort(atr []byte, anyTCK bool) error {
	body, tck := atrLength(atr)
	noTCK := body > 0 && len(atr) == body && tck > 0
	switch {
	case noTCK && anyTCK:
		return nil
	case noTCK:
		return fmt.Errorf("%w: the answer to reset %X has no TCK; %s", drivers.ErrProtocol, atr, takesAnyTCK)
	}
	return fmt.Errorf("%w: the answer to reset ends after %X", drivers.ErrProtocol, atr)
}

// takesAnyTCK is what to do about a TCK.
const takesAnyTCK = "Opts.AnyTCK takes it (any_tck = true in a configuration)"

// convention reads TS (ISO/IEC 7816-3, 8.1) and leaves it on the link.
func (l *link) convention() error {
	ts := l.rx[0]
	bad := ts.Bad && !l.blind
	switch {
	case ts.Byte == tsDirect && !bad:
	case ts.Byte == tsInverse && (bad || l.blind):
		l.inverse, l.flipped = true, true
	default:
		return fmt.Errorf("%w: the answer to reset begins with %02X", drivers.ErrProtocol, ts.Byte)
	}
	return nil
}

// atrLength is how many bytes the answer to reset has that begins so, without
// its TCK and of that; 0 where they do not yet tell (ISO/IEC 7816-3, 8.2.2).
func atrLength(b []byte) (body, tck int) {
	if len(b) < 2 {
		return 0, 0
	}
	historical, indicator := int(b[1]&0x0F), b[1]
	n := 2
	for {
		for bit := byte(0x10); bit < 0x80; bit <<= 1 { // TA, TB, TC
			if indicator&bit != 0 {
				n++
			}
		}
		if indicator&0x80 == 0 {
			return n + historical, tck
		}
		if n++; n > len(b) {
			return 0, 0
		}
		if indicator = b[n-1]; indicator&0x0F != 0 {
			tck = 1
		}
	}
}

// parseATR reads an answer to reset, with anyTCK as if its TCK were right.
func parseATR(raw []byte, anyTCK bool) (apdu.ATR, error) {
	atr, err := apdu.ParseATR(raw)
	if err == nil {
		return atr, nil
	}
	body, tck := atrLength(raw)
	if body == 0 || body > len(raw) {
		return apdu.ATR{}, err
	}
	mended := append([]byte(nil), raw[:body]...)
	if tck > 0 {
		mended = append(mended, xor(mended[1:]))
	}
	atr, otherwise := apdu.ParseATR(mended)
	switch {
	case otherwise != nil:
		return apdu.ATR{}, err
	case !anyTCK:
		return apdu.ATR{}, fmt.Errorf("%w: %X; %s", err, raw, takesAnyTCK)
	}
	return atr, nil
}
