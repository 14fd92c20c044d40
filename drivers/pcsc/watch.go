//go:build pcsc

package pcsc

import (
	"context"
	"errors"
	"time"

	"github.com/ebfe/scard"
)

const (
	// lookTime is how long the watch waits for an event before it looks by
	// itself: what comes between two waits raises none.
	lookTime = 2 * time.Second

	// How long it waits for pcscd to come back: from the first to the second,
	// twice as long each time.
	firstRetry = 100 * time.Millisecond
	lastRetry  = 2 * time.Second

	// shortly keeps a list of readers that is out of date for long from being
	// read without a pause.
	shortly = 50 * time.Millisecond

	// maxStates is how many readers libpcsclite waits for in one call.
	maxStates = 16

	// plugged is the name of the reader that stands for the list of readers.
	plugged = `\\?PnP?\Notification`
)

// reader is what one look at a reader has shown.
type reader struct {
	name  string
	card  bool
	atr   []byte // nil: no card, or one that does not answer
	state scard.StateFlag
}

// watch looks at the readers until ctx is done. looked is called after each
// look, and after each failure to look.
func (h *Host) watch(ctx context.Context, looked func()) {
	retry := firstRetry
	for ctx.Err() == nil {
		began := time.Now()
		err := h.follow(ctx, looked)
		if ctx.Err() != nil {
			break
		}
		h.lost(err)
		looked()
		if time.Since(began) > lastRetry {
			retry = firstRetry
		}
		pause(ctx, retry)
		retry = min(2*retry, lastRetry)
	}
}

// lost says once that pcscd is away, and takes its cards away.
func (h *Host) lost(err error) {
	h.mu.Lock()
	first := h.down == nil || h.seen == nil && h.down.Error() != err.Error()
	h.mu.Unlock()
	if first {
		h.opts.Log.Warn("pcscd does not answer; its cards are back when it does", "err", err)
	}
	h.settle(nil, err)
}

// follow watches on one context until it fails.
func (h *Host) follow(ctx context.Context, looked func()) (err error) {
	sc, err := scard.EstablishContext()
	if err != nil {
		return err
	}
	h.waitOn(sc)
	defer func() {
		h.waitOn(nil)
		// Released or lost with pcscd, which err tells.
		_ = sc.Release()
	}()
	var seen []reader
	for ctx.Err() == nil {
		names, err := sc.ListReaders()
		if err != nil && !errors.Is(err, scard.ErrNoReadersAvailable) {
			return err
		}
		states, err := look(sc, names)
		if errors.Is(err, scard.ErrUnknownReader) { // unplugged since it was listed
			pause(ctx, shortly)
			continue
		}
		if err != nil {
			return err
		}
		seen = readersOf(states, seen)
		h.settle(seen, nil)
		looked()
		if err := h.await(ctx, sc, seen); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (h *Host) waitOn(sc *scard.Context) {
	h.waits.Lock()
	h.waiting = sc
	h.waits.Unlock()
}

// await returns when something may have changed.
func (h *Host) await(ctx context.Context, sc *scard.Context, seen []reader) error {
	states := make([]scard.ReaderState, 0, maxStates)
	for _, r := range seen {
		if len(states) < maxStates {
			states = append(states, scard.ReaderState{Reader: r.name, CurrentState: r.state})
		}
	}
	if len(states) < maxStates {
		states = append(states, scard.ReaderState{Reader: plugged})
	}
	if ctx.Err() != nil {
		return nil
	}
	err := sc.GetStatusChange(states, lookTime)
	switch {
	case errors.Is(err, scard.ErrUnknownReader): // unplugged since it was looked at
		pause(ctx, shortly)
		return nil
	case errors.Is(err, scard.ErrTimeout), errors.Is(err, scard.ErrCancelled):
		return nil
	}
	return err
}

// pause waits a while, or until ctx is done.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// look asks for the state of each reader as it is.
func look(sc *scard.Context, names []string) ([]scard.ReaderState, error) {
	states := make([]scard.ReaderState, 0, len(names))
	for _, name := range names[:min(len(names), maxStates)] {
		states = append(states, scard.ReaderState{Reader: name, CurrentState: scard.StateUnaware})
	}
	if len(states) == 0 {
		return nil, nil // libpcsclite's binding cannot ask for nothing
	}
	return states, sc.GetStatusChange(states, 0)
}

// readersOf reads the states. A card without power has no answer to reset: as
// long as it has not been taken out, the one it had holds.
func readersOf(states []scard.ReaderState, before []reader) []reader {
	seen := make([]reader, 0, len(states))
	for _, s := range states {
		if s.EventState&(scard.StateUnknown|scard.StateUnavailable) != 0 {
			continue
		}
		r := reader{name: s.Reader, state: s.EventState &^ scard.StateChanged}
		r.card = s.EventState&scard.StatePresent != 0
		if r.card {
			r.atr = s.Atr
			for _, b := range before {
				if b.name == r.name && b.card && len(r.atr) == 0 {
					r.atr = b.atr
				}
			}
		}
		seen = append(seen, r)
	}
	return seen
}
