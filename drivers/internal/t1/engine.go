package t1

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cloud-of-se/tses/drivers"
)

// Bounds where [Config] says nothing.
const (
	defaultTries = 3    // ISO/IEC 7816-3, 11.6.3.2: two more attempts
	defaultWTX   = 1000 // requests for more time within one command
	maxRequests  = 32   // other requests of the chip within one command
	refusedPause = time.Millisecond
)

// Config is what an [Engine] needs to know besides its link. Zero fields mean
// what the dialect says, or the default named.
type Config struct {
	Dialect Dialect
	IFSC    int           // the most INF bytes in a block to the chip
	BWT     time.Duration // how long the chip may take until a block begins

	// SelfReset is the shortest time in which the chip can have restarted
	// without being told to; 0 says that it cannot, as with a card that needs
	// its RST contact for that.
	SelfReset time.Duration

	Tries   int           // attempts for each block, and for RESYNCH: 3
	MaxWTX  int           // requests for more time within one command: 1000
	Refused time.Duration // how long the chip may refuse a block: BWT

	// RefusedPause is the time between attempts at a block that is refused:
	// 1 ms.
	RefusedPause time.Duration
}

// Engine is the host's side of T=1 with one chip. It is for one owner at a
// time. All methods end soon when their context is done.
type Engine struct {
	link Link
	cfg  Config

	ns, nr byte   // N(S) of the next I-block to and from the chip
	ifsc   int    // the most INF bytes to the chip
	ifsd   int    // and from it
	step   step   // what the next command has to do first
	out    []byte // the block that was sent last, encoded
	answer []byte // room for a chained response
}

// step is the state between two commands.
type step uint8

const (
	inStep  step = iota
	unsure       // a command was left in the middle: RESYNCH first
	outStep      // RESYNCH did not help: the chip needs a reset
)

// New makes an engine for a chip that has just been reset. The link stays the
// caller's.
func New(link Link, cfg Config) *Engine {
	d := &cfg.Dialect
	setDefault(&cfg.IFSC, d.IFSC)
	setDefault(&cfg.BWT, d.BWT)
	setDefault(&cfg.Tries, defaultTries)
	setDefault(&cfg.MaxWTX, defaultWTX)
	setDefault(&cfg.Refused, cfg.BWT)
	setDefault(&cfg.RefusedPause, refusedPause)
	return &Engine{link: link, cfg: cfg, ifsc: min(cfg.IFSC, d.MaxINF), ifsd: d.IFSD}
}

func setDefault[T int | time.Duration](field *T, value T) {
	if *field <= 0 {
		*field = value
	}
}

// IFSC is the most INF bytes in a block to the chip as of now.
func (e *Engine) IFSC() int { return e.ifsc }

// Transmit sends one command APDU and returns the response APDU, which is the
// caller's. The errors are those of [drivers.SE]: ErrMute, ErrProtocol,
// ErrRemoved or the context's, with ErrOutcomeUnknown if the command may have
// been executed. After an error the engine gets in step again by itself; if
// it cannot, Transmit fails with ErrMute until the chip is reset and has a new
// engine.
func (e *Engine) Transmit(ctx context.Context, command []byte) ([]byte, error) {
	if err := e.getReady(ctx); err != nil {
		return nil, err
	}
	defer func() { clear(e.out) }() // it may hold a PIN
	x := exchange{e: e, reason: ForReceipt}
	if len(command) > 1 {
		x.reason = Reason(command[1])
	}
	run := x.run
	if e.cfg.Dialect.Bare != 0 {
		run = x.runBare
	}
	answer, err := run(ctx, command)
	if err == nil {
		return answer, nil
	}
	err = classify(err)
	if x.mayRun {
		err = fmt.Errorf("%w: %w", err, drivers.ErrOutcomeUnknown)
	}
	if err2 := e.recover(ctx); err2 != nil && ctx.Err() == nil {
		err = fmt.Errorf("%w (and then: %w)", err, err2)
	}
	return nil, err
}

// getReady brings an engine that was left in the middle of a command into step.
func (e *Engine) getReady(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	switch e.step {
	case unsure:
		return e.recover(ctx)
	case outStep:
		return fmt.Errorf("%w: out of step with the chip; reset it", drivers.ErrMute)
	}
	return nil
}

// recover gets in step by RESYNCH. With a context that is done it leaves that
// to the next command.
func (e *Engine) recover(ctx context.Context) error {
	e.step = unsure
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if e.cfg.Dialect.Bare != 0 { // nothing tells an old answer from a new one
		e.step = outStep
		return nil
	}
	err := e.Resynch(ctx)
	if err != nil && ctx.Err() == nil {
		e.step = outStep
	}
	return err
}

// Resynch sets both block numbers to 0 (ISO/IEC 7816-3, 11.6.3.2, rule 6). A
// command that the chip is working on is lost.
func (e *Engine) Resynch(ctx context.Context) error {
	if _, err := e.Request(ctx, SResynch, nil); err != nil {
		return fmt.Errorf("RESYNCH: %w", err)
	}
	e.ns, e.nr, e.step = 0, 0, inStep
	return nil
}

// Announce tells the chip by S(IFS) the longest INF field that it may send, and
// with [IFSBoth] that it will get. It does nothing where the chip takes that for
// granted. A chip that does not take a size that needs two bytes is told 254.
func (e *Engine) Announce(ctx context.Context, ifsd int) error {
	d := &e.cfg.Dialect
	ifsd = min(ifsd, d.MaxINF)
	if d.IFS != IFSAlways && ifsd <= d.IFSD {
		return nil
	}
	inf := ifsField(ifsd)
	answer, err := e.Request(ctx, SIFS, inf)
	if errors.Is(err, errUnexpected) && ifsd > shortIFS {
		return e.Announce(ctx, shortIFS)
	}
	if err != nil {
		return fmt.Errorf("IFS: %w", err)
	}
	if n, ok := parseIFS(answer); !ok || n != ifsd {
		return fmt.Errorf("IFS: %w: the chip repeats %X, %X was sent", drivers.ErrProtocol, answer, inf)
	}
	e.ifsd = ifsd
	if d.IFS == IFSBoth {
		e.ifsc = ifsd
	}
	return nil
}

// Request sends an S(request) and returns the INF field of the response, valid
// until the next call. A request without answer is repeated as it is (rule
// 7.3), up to Config.Tries attempts in all.
func (e *Engine) Request(ctx context.Context, kind byte, inf []byte) ([]byte, error) {
	var err error
	for range e.cfg.Tries {
		if err = e.send(ctx, sRequest(kind, inf), true); err != nil {
			if errors.Is(err, ErrRefused) {
				continue
			}
			return nil, classify(err)
		}
		var b Block
		b, err = e.receive(ctx, Wait{e.cfg.BWT, ForResponse + Reason(kind)})
		switch {
		case err == nil && b.isResponse() && b.kind() == kind:
			return b.INF, nil
		case err == nil:
			err = fmt.Errorf("%w: %v where S(%02X response) was expected", errUnexpected, b, kind)
		case !isLost(err):
			return nil, classify(err)
		}
	}
	return nil, fmt.Errorf("%w, %d times", classify(err), e.cfg.Tries)
}

// send puts a block on the wire. With again it offers a block that is refused
// until Config.Refused is over.
func (e *Engine) send(ctx context.Context, b Block, again bool) error {
	e.out = e.cfg.Dialect.Append(e.out[:0], b)
	err := e.link.Send(ctx, e.out)
	if !again {
		return err
	}
	until := time.Now().Add(e.cfg.Refused)
	for errors.Is(err, ErrRefused) && time.Now().Before(until) {
		if err := pause(ctx, e.cfg.RefusedPause); err != nil {
			return err
		}
		err = e.link.Send(ctx, e.out)
	}
	return err
}

// receive waits for a block and judges its form.
func (e *Engine) receive(ctx context.Context, w Wait) (Block, error) {
	raw, err := e.link.Receive(ctx, w)
	if err != nil {
		return Block{}, err
	}
	return e.cfg.Dialect.Parse(raw)
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

var (
	errUnexpected = errors.New("unexpected block")
	errRestarted  = errors.New("the chip may have restarted by itself")
	errAborted    = errors.New("the chip aborted the command")
)

// isLost tells whether a block got lost in a way that T=1 can repair.
func isLost(err error) bool {
	return errors.Is(err, ErrTimeout) || errors.Is(err, ErrFraming) || errors.Is(err, ErrChecksum) || errors.Is(err, errUnexpected)
}

// classify adds the error of package drivers on which a caller decides.
func classify(err error) error {
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, ErrRefused):
		return fmt.Errorf("%w: %w", drivers.ErrRemoved, err)
	case errors.Is(err, ErrTimeout):
		return fmt.Errorf("%w: %w", drivers.ErrMute, err)
	}
	return fmt.Errorf("%w: %w", drivers.ErrProtocol, err)
}

// shortIFS is the largest size that one byte tells.
const shortIFS = 254

// ifsField encodes an information field size: 1 byte, or 2 for more than 254.
func ifsField(n int) []byte {
	if n > shortIFS {
		return []byte{byte(n >> 8), byte(n)}
	}
	return []byte{byte(n)}
}

func parseIFS(inf []byte) (n int, ok bool) {
	switch len(inf) {
	case 1:
		n = int(inf[0])
	case 2:
		n = int(inf[0])<<8 | int(inf[1])
	}
	return n, n > 0
}
