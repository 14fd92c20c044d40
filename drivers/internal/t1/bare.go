package t1

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// runBare carries a command where a whole APDU goes in one block. The chip
// says by an R-block that it has not got it; the host says by one that it has
// not got the answer. There are no numbers: once the host has asked for the
// answer again, an R-block no longer tells whether the command was executed.
func (x *exchange) runBare(ctx context.Context, command []byte) ([]byte, error) {
	e := x.e
	if len(command) > e.ifsc {
		return nil, fmt.Errorf("%w: a command of %d bytes, %d at most", errUnexpected, len(command), e.ifsc)
	}
	block := sRequest(e.cfg.Dialect.Bare, command)
	x.mayRun = true
	asked := false // for the answer again
	var err error
	for range e.cfg.Tries {
		if err = e.send(ctx, block, true); err != nil {
			x.mayRun = asked || !errors.Is(err, ErrRefused)
			return nil, err
		}
		var b Block
		b, err = e.receive(ctx, Wait{e.cfg.BWT, x.reason})
		switch {
		case err == nil && !b.isR() && len(b.INF) >= 2:
			return slices.Clone(b.INF), nil
		case err == nil && b.isR() && !asked: // the command got lost
			err = fmt.Errorf("%w: %v", errUnexpected, b)
			continue
		case err == nil && !b.isR():
			err = fmt.Errorf("%w: %v", errUnexpected, b)
		case err == nil:
			return nil, fmt.Errorf("%w: %v", errRestarted, b)
		case !isLost(err) || errors.Is(err, ErrTimeout):
			return nil, err
		}
		block, asked = rBlock(0, 3), true // 83: send it again
	}
	return nil, err
}
