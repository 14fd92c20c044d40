package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cloud-of-se/tses/drivers"
)

// opener opens a driver that may be there or not: a chip on a bus, an adapter
// that can be unplugged.
type opener func() (drivers.SE, io.Closer, error)

// retrying is an SE that may not answer. A goroutine of its own tries again and
// again, ever more seldom, until it does; who powers it on meanwhile is a try
// too, and is told why it failed. An SE that went away while somebody used it
// is opened anew.
type retrying struct {
	name string
	open opener
	log  *slog.Logger

	turn chan struct{} // holds a token while the driver is in use
	wake chan struct{} // the SE went away
	stop context.CancelFunc
	done chan struct{}
	used atomic.Bool // its owner has powered it on

	keeps atomic.Value // keeping

	mu    sync.Mutex
	probe context.CancelFunc // of the try that runs, nil for none

	// These are for who has the turn.
	se     drivers.SE // nil: not open
	closer io.Closer
	up     bool   // it answered last time
	told   string // what the log was told last
	gone   error  // why its owner lost it
}

// newRetrying starts to try; Close ends it.
func newRetrying(name string, open opener, log *slog.Logger) *retrying {
	ctx, stop := context.WithCancel(context.Background())
	r := &retrying{
		name: name, open: open, log: log, stop: stop,
		turn: make(chan struct{}, 1), wake: make(chan struct{}, 1), done: make(chan struct{}),
	}
	go r.run(ctx)
	return r
}

// PowerOn implements [drivers.SE]. Where the SE could not be opened or does not
// answer, it is tried now.
func (r *retrying) PowerOn(ctx context.Context) ([]byte, error) {
	r.hurry()
	if err := r.take(ctx); err != nil {
		return nil, fmt.Errorf("%s: power on: %w", r.name, err)
	}
	defer r.give()
	if r.gone != nil { // it went away in use, and may be back
		r.abandon()
	}
	atr, err := r.powerOn(ctx)
	if err != nil {
		r.used.Store(false)
		if ctx.Err() != nil { // it may be there
			r.abandon()
			return nil, err
		}
		r.silent(err, firstRetry)
		r.wakeUp()
		return nil, err
	}
	r.answers()
	r.used.Store(true)
	return atr, nil
}

// powerOn opens the driver, if it is not, and powers the SE on.
func (r *retrying) powerOn(ctx context.Context) ([]byte, error) {
	if r.se == nil {
		se, closer, err := r.open()
		if err != nil {
			return nil, fmt.Errorf("%w: %w", drivers.ErrNoCard, err)
		}
		r.se, r.closer = se, closer
		if keeper, ok := se.(drivers.Keeper); ok {
			r.keeps.Store(keeping{keeper.Keeps()})
		}
	}
	return r.se.PowerOn(ctx)
}

// Reset implements [drivers.SE]. An SE that went away in use, and may be back, is
// opened and powered on anew.
func (r *retrying) Reset(ctx context.Context, kind drivers.ResetKind) (atr []byte, err error) {
	err = r.use(ctx, "reset", func() error {
		if r.gone == nil {
			atr, err = r.se.Reset(ctx, kind)
			return err
		}
		r.abandon()
		atr, err = r.powerOn(ctx)
		return err
	})
	return atr, err
}

// Transmit implements [drivers.SE].
func (r *retrying) Transmit(ctx context.Context, command []byte) (response []byte, err error) {
	err = r.use(ctx, "transmit", func() error {
		if r.se == nil {
			return fmt.Errorf("%s: transmit: %w: reset it when it is back (%v)", r.name, drivers.ErrRemoved, r.gone)
		}
		response, err = r.se.Transmit(ctx, command)
		return err
	})
	return response, err
}

// use makes one call of the owner and notices that the SE went away.
func (r *retrying) use(ctx context.Context, op string, call func() error) error {
	if !r.used.Load() {
		return fmt.Errorf("%s: %s: %w", r.name, op, drivers.ErrPoweredOff)
	}
	if err := r.take(ctx); err != nil {
		return fmt.Errorf("%s: %s: %w", r.name, op, err)
	}
	defer r.give()
	err := call()
	if isGone(err) {
		r.gone = err
	} else if err == nil {
		r.gone = nil
	}
	return err
}

func isGone(err error) bool {
	return errors.Is(err, drivers.ErrRemoved) || errors.Is(err, drivers.ErrNoCard) || errors.Is(err, drivers.ErrMute)
}

// PowerOff implements [drivers.SE]. An SE that went away is looked for from
// then on.
func (r *retrying) PowerOff(ctx context.Context) error {
	if !r.used.Load() {
		return nil
	}
	if err := r.take(context.WithoutCancel(ctx)); err != nil { // the driver obeys its own context
		return err
	}
	defer r.give()
	var err error
	if r.se != nil {
		err = r.se.PowerOff(ctx)
	}
	r.used.Store(false)
	if r.gone != nil {
		r.silent(r.gone, firstRetry)
		r.gone = nil
		r.wakeUp()
	}
	return err
}

// Keeps implements [drivers.Keeper].
func (r *retrying) Keeps() error {
	if keeps, ok := r.keeps.Load().(keeping); ok {
		return keeps.why
	}
	return nil
}

// keeping is why the SE that is open keeps PIN states, nil if it does not.
type keeping struct{ why error }

// String implements [drivers.SE].
func (r *retrying) String() string { return r.name }

// Close ends the tries and closes the driver.
func (r *retrying) Close() error {
	r.stop()
	<-r.done
	var err error
	if r.used.Load() {
		ctx, cancel := context.WithTimeout(context.Background(), probeTime)
		defer cancel()
		err = r.PowerOff(ctx)
	}
	return errors.Join(err, r.closeDriver())
}

// take waits for the turn.
func (r *retrying) take(ctx context.Context) error {
	select {
	case r.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *retrying) give() { <-r.turn }

func (r *retrying) wakeUp() {
	select {
	case r.wake <- struct{}{}:
	default: // it is awake
	}
}

// answers notes that the SE is there.
func (r *retrying) answers() {
	r.gone = nil
	if !r.up {
		r.up, r.told = true, ""
		r.log.Info("element answers", "driver", r.se.String())
	}
}

// silent notes that it is not, and why; the log hears the same once.
func (r *retrying) silent(err error, next time.Duration) {
	r.up = false
	if r.told != err.Error() {
		r.told = err.Error()
		r.log.Warn("element does not answer, the others serve", "retry", next, "err", err)
	}
	r.abandon()
}

// abandon closes a driver whose state is not known: the next try opens it anew.
func (r *retrying) abandon() {
	if err := r.closeDriver(); err != nil {
		r.log.Warn("element is not closed well", "err", err)
	}
}

// closeTime bounds the powering off of a driver that is closed: the SE may be
// gone, and whoever wants it waits.
const closeTime = 2 * time.Second

func (r *retrying) closeDriver() error {
	if r.se == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	err := r.se.PowerOff(ctx)
	if isGone(err) {
		err = nil // that is why it is closed
	}
	err = errors.Join(err, r.closer.Close())
	r.se, r.closer = nil, nil
	return err
}
