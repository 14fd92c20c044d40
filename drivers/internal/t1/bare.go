package t1

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// runBare carries a command where a whole APDU goes in one block. The chip says
// by an R-block that it has not got it, and gets it again. There are no
// numbers: a chip that was asked for a lost answer again could give that of the
// command before, so it is not asked.
func (x *exchange) runBare(ctx context.Context, command []byte) ([]byte, error) {
	e := x.e
	if len(command) > e.ifsc {
		return nil, fmt.Errorf("%w: a command of %d bytes, %d at most", errUnexpected, len(command), e.ifsc)
	}
	var err error
	for range e.cfg.Tries {
		if err = e.send(ctx, sRequest(e.cfg.Dialect.Bare, command), true); err != nil {
			x.mayRun = !errors.Is(err, ErrRefused)
			return nil, err
		}
		x.mayRun = true
		var b Block
		if b, err = e.receive(ctx, Wait{e.cfg.BWT, x.reason}); err != nil {
			return nil, err
		}
		if !b.isR() && len(b.INF) >= 2 {
			return slices.Clone(b.INF), nil
		}
		err = fmt.Errorf("%w: %v", errUnexpected, b)
		if !b.isR() {
			return nil, err
		}
		x.mayRun = false
	}
	return nil, err
}
