package t1

import (
	"fmt"
	"time"
)

// grant is the response to an S(request) of the chip (ISO/IEC 7816-3,
// 11.6.2.3). With errAborted the response is still to be sent.
func (x *exchange) grant(b Block) (Block, error) {
	if b.kind() == SWTX {
		return x.grantTime(b)
	}
	if x.requests++; x.requests > maxRequests {
		return Block{}, fmt.Errorf("%v for the %d. time", b, x.requests)
	}
	switch b.kind() {
	case SIFS:
		n, ok := parseIFS(b.INF)
		if !ok || n > x.e.cfg.Dialect.MaxINF {
			return Block{}, fmt.Errorf("%w: an IFSC of %d", errUnexpected, n)
		}
		x.e.ifsc = n
	case SAbort:
		return sResponse(SAbort, nil), errAborted
	default: // RESYNCH is the host's to ask for (rule 7.5)
		return Block{}, fmt.Errorf("%w: %v", errUnexpected, b)
	}
	return sResponse(b.kind(), append([]byte(nil), b.INF...)), nil
}

// grantTime lets the next block take n times BWT. It shows also that the chip
// has the command.
func (x *exchange) grantTime(b Block) (Block, error) {
	if x.extended++; x.extended > x.e.cfg.MaxWTX {
		return Block{}, fmt.Errorf("it asked for more time %d times", x.extended)
	}
	if len(b.INF) != 1 {
		return Block{}, fmt.Errorf("%w: WTX with %d bytes", errUnexpected, len(b.INF))
	}
	x.sure, x.granted = true, true
	x.wait = time.Duration(max(b.INF[0], 1)) * x.e.cfg.BWT
	return sResponse(SWTX, append([]byte(nil), b.INF...)), nil
}
