package pcsc

import (
	"context"
	"time"

	"github.com/cloud-of-se/tses/pcsclite"
)

const (
	// lookTime is how long the watch waits for an event before it looks by
	// itself: a card that could not be served is tried again.
	lookTime = 2 * time.Second

	// How long it waits for pcscd to come back: from the first to the second,
	// twice as long each time.
	firstRetry = 100 * time.Millisecond
	lastRetry  = 2 * time.Second

	// maxStates is how many readers are watched at most; pcscd has no more.
	maxStates = pcsclite.MaxReaders
)

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
func (h *Host) follow(ctx context.Context, looked func()) error {
	m, err := establish(ctx)
	if err != nil {
		return err
	}
	defer func() {
		// Ended, or lost with pcscd, which err tells.
		_ = m.close()
	}()
	for ctx.Err() == nil {
		seen, err := m.look(ctx)
		if err != nil {
			return err
		}
		h.settle(seen, nil)
		looked()
	}
	return ctx.Err()
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
