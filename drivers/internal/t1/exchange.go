package t1

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cloud-of-se/tses/apdu"
	"github.com/cloud-of-se/tses/drivers"
)

// exchange is one command and its answer. It first sends the blocks of the
// command, each acknowledged but the last, which the answer's first block
// acknowledges; then it acknowledges the answer's blocks but the last.
type exchange struct {
	e      *Engine
	reason Reason

	sent     Block // the I-block that waits to be acknowledged
	awaiting phase
	mayRun   bool // the last block is out: the command may be executed

	// sure says that the chip has not restarted since it took the last block
	// that counts. If it is false an R(0) proves nothing: a chip that has
	// restarted says it too.
	sure  bool
	heard time.Time // when a byte came last

	wait     time.Duration // for the next block
	granted  bool          // the chip has asked for more time: it has the block
	extended int           // WTX requests so far
	requests int           // other requests so far
}

// phase is what an exchange waits for.
type phase uint8

const (
	awaitReceipt phase = iota // R-block for an I-block with M
	awaitAnswer               // first I-block of the answer
	awaitMore                 // further I-block of the answer
)

func (x *exchange) run(ctx context.Context, command []byte) ([]byte, error) {
	e := x.e
	first := true
	for ; len(command) > e.ifsc; first = false {
		n := e.ifsc
		if err := x.sendI(ctx, iBlock(e.ns, true, command[:n]), first); err != nil {
			return nil, err
		}
		if _, err := x.converse(ctx, awaitReceipt); err != nil {
			return nil, err
		}
		e.ns ^= 1
		command = command[n:]
		x.requests = 0
	}
	if err := x.sendI(ctx, iBlock(e.ns, false, command), first); err != nil {
		return nil, err
	}
	b, err := x.converse(ctx, awaitAnswer)
	if err != nil {
		return nil, err
	}
	e.ns ^= 1
	return x.collect(ctx, b)
}

// sendI sends an I-block for the first time. A chip that refuses a further
// block of a chain may have restarted; it would take block 0 for the beginning
// of a command.
func (x *exchange) sendI(ctx context.Context, b Block, first bool) error {
	x.sent, x.sure, x.granted, x.wait = b, true, false, x.e.cfg.BWT
	err := x.e.send(ctx, b, false)
	if errors.Is(err, ErrRefused) {
		if x.sure = first || x.e.cfg.SelfReset == 0; !x.sure && b.ns() == 0 {
			return fmt.Errorf("%w: %w: it refused a block in the middle of a command", errRestarted, err)
		}
		err = x.e.send(ctx, b, true)
	}
	// What was never taken cannot run.
	x.mayRun = !b.more() && !errors.Is(err, ErrRefused)
	return err
}

// collect puts the blocks of the answer together, beginning with b.
func (x *exchange) collect(ctx context.Context, b Block) ([]byte, error) {
	e := x.e
	defer func() {
		clear(e.answer) // it may hold a key
		e.answer = e.answer[:0]
	}()
	for {
		e.nr ^= 1
		e.answer = append(e.answer, b.INF...)
		if len(e.answer) > apdu.MaxResponse {
			return nil, x.abort(ctx, len(e.answer))
		}
		if !b.more() {
			break
		}
		x.wait = e.cfg.BWT
		x.requests = 0
		err := e.send(ctx, rBlock(e.nr, noError), true)
		if err == nil {
			b, err = x.converse(ctx, awaitMore)
		}
		if err != nil {
			return nil, err
		}
	}
	if len(e.answer) < 2 {
		return nil, fmt.Errorf("%w: %d bytes are no response APDU", errUnexpected, len(e.answer))
	}
	return slices.Clone(e.answer), nil
}

// abort asks a chip that does not come to an end to stop.
func (x *exchange) abort(ctx context.Context, n int) error {
	err := fmt.Errorf("%w: the answer has %d bytes and more to come, %d at most", errUnexpected, n, apdu.MaxResponse)
	if _, abortErr := x.e.Request(ctx, SAbort, nil); abortErr != nil {
		return fmt.Errorf("%w (and ABORT: %w)", err, abortErr)
	}
	return err
}

// converse takes what the chip says after an I-block or the R-block for one
// was sent, repairs what got lost, grants requests, and returns the block that
// p waits for.
func (x *exchange) converse(ctx context.Context, p phase) (Block, error) {
	x.awaiting = p
	for lost := 0; ; {
		b, err := x.next(ctx)
		var reply Block
		switch {
		case err == nil && x.expected(b):
			return b, nil
		case err == nil && b.isRequest():
			if reply, err = x.grant(b); err == nil {
				lost = 0
			}
			if err == nil && b.kind() == SWTX {
				drivers.Busy(ctx)
			}
		case err == nil && b.isR():
			lost++
			reply, err = x.repeat(b)
		case err == nil:
			err = fmt.Errorf("%w: %v", errUnexpected, b)
		}
		if isLost(err) && !errors.Is(err, errAborted) {
			lost++
			reply = rBlock(x.e.nr, errorCode(err))
		} else if err != nil {
			return Block{}, x.lastWord(ctx, reply, err)
		}
		if lost >= x.e.cfg.Tries {
			if err == nil {
				err = fmt.Errorf("%w: %v, %d times", errUnexpected, b, lost)
			}
			return Block{}, err
		}
		if err := x.sendReply(ctx, reply); err != nil {
			return Block{}, err
		}
	}
}

// next waits for a block and keeps account of what it proves.
func (x *exchange) next(ctx context.Context) (Block, error) {
	reason := x.reason
	if x.awaiting != awaitAnswer {
		reason = ForReceipt
	} else if x.granted {
		reason = ForResponse + SWTX
	}
	b, err := x.e.receive(ctx, Wait{x.wait, reason})
	x.wait = x.e.cfg.BWT
	if errors.Is(err, ErrTimeout) || err != nil && x.e.cfg.Dialect.Hello == HelloATP {
		x.doubt() // it was silent, or what came may be the greeting after a restart
	} else if l, ok := x.e.link.(Listener); ok {
		x.heard = l.Heard()
	} else {
		x.heard = time.Now()
	}
	return b, err
}

// doubt notes that the chip may have restarted in the meantime.
func (x *exchange) doubt() { x.sure = x.sure && x.e.cfg.SelfReset == 0 }

// expected tells whether b is what the exchange waits for.
func (x *exchange) expected(b Block) bool {
	if x.awaiting == awaitReceipt {
		return b.isR() && b.nr() != x.sent.ns() && (x.sure || b.nr() != 0)
	}
	return b.isI() && b.ns() == x.e.nr && len(b.INF) <= x.e.ifsd && (len(b.INF) > 0 || !b.more())
}

// repeat is the block that an R-block asks for.
func (x *exchange) repeat(b Block) (Block, error) {
	again := b.nr() == x.sent.ns() // the chip says that it has not got the I-block
	switch {
	case x.awaiting == awaitMore:
		return rBlock(x.e.nr, noError), nil
	case !x.sure && b.nr() == 0:
		return Block{}, fmt.Errorf("%w: %v", errRestarted, b)
	case again && x.granted:
		return Block{}, fmt.Errorf("%w: %v after it had asked for more time", errRestarted, b)
	case again:
		x.sure = true
		return x.sent, nil
	}
	// It has got the I-block and not what was sent after that.
	return rBlock(x.e.nr, noError), nil
}

// sendReply sends what is not an I-block for the first time.
func (x *exchange) sendReply(ctx context.Context, b Block) error {
	// An I-block is offered once: between two attempts the chip may restart.
	// Then the chip has not got it, and is asked what it waits for.
	err := x.e.send(ctx, b, !b.isI())
	if errors.Is(err, ErrRefused) && b.isI() {
		x.doubt()
		err = x.e.send(ctx, rBlock(x.e.nr, noError), true)
	}
	if limit := x.e.cfg.SelfReset; limit > 0 && !b.isI() && time.Since(x.heard) >= limit {
		x.sure = false
	}
	return err
}

// lastWord answers S(ABORT request) before the exchange ends with err.
func (x *exchange) lastWord(ctx context.Context, reply Block, err error) error {
	if !errors.Is(err, errAborted) {
		return err
	}
	if sendErr := x.e.send(ctx, reply, true); sendErr != nil {
		return fmt.Errorf("%w (and answering ABORT: %w)", err, sendErr)
	}
	return err
}

// errorCode is what an R-block says about the block that got lost.
func errorCode(err error) byte {
	if errors.Is(err, ErrChecksum) {
		return checksumError
	}
	return otherError
}
