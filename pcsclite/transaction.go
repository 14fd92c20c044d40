package pcsclite

import (
	"context"
	"time"
)

// lockWait is how long a request waits for another program's transaction to
// end before it is refused with a sharing violation; libpcsclite then asks
// again. connectWait is for SCardConnect, which libpcsclite does not repeat.
const (
	lockWait    = time.Second
	connectWait = 30 * time.Second
)

// free waits until no transaction but h's own runs on the reader. It returns
// with srv.mu held when its error is nil.
func (r *Reader) free(ctx context.Context, h *handle, bound time.Duration) error {
	timer := time.NewTimer(bound)
	defer timer.Stop()
	for {
		r.srv.mu.Lock()
		if r.gone {
			r.srv.mu.Unlock()
			return EReaderUnavailable
		}
		if r.lock == nil || r.lock == h {
			return nil
		}
		wait, holder, since := r.unlocked, r.lock.who, r.since
		r.srv.mu.Unlock()
		select {
		case <-wait:
		case <-ctx.Done():
			return ECancelled
		case <-timer.C:
			r.srv.log.Info("waiting for another program's transaction", "reader", r.Name(), "holder", holder, "for", time.Since(since).Round(time.Millisecond))
			return ESharingViolation
		}
	}
}

// usable waits as free does and then tells what is in the way of using the
// card. It returns with srv.mu held when its error is nil.
func (r *Reader) usable(ctx context.Context, h *handle) error {
	if err := r.free(ctx, h, lockWait); err != nil {
		return err
	}
	var err error
	switch {
	case h.lost != Success:
		err = h.lost
	case r.state.Status&Swallowed != 0:
		err = WUnresponsiveCard
	}
	if err != nil {
		r.srv.mu.Unlock()
	}
	return err
}

// begin starts a transaction of h, or one inside its own.
func (r *Reader) begin(ctx context.Context, h *handle) error {
	if err := r.usable(ctx, h); err != nil {
		return err
	}
	defer r.srv.mu.Unlock()
	if r.lock == nil {
		r.lock, r.since = h, time.Now()
	}
	r.depth++
	return nil
}

// end ends the innermost transaction of h. A card that was reset or removed
// meanwhile ends it too and is told.
func (r *Reader) end(ctx context.Context, h *handle, d Disposition) error {
	if d > Eject {
		return EInvalidValue
	}
	r.srv.mu.Lock()
	owner, lost := r.lock == h, h.lost
	r.srv.mu.Unlock()
	if !owner {
		if lost != Success {
			return lost
		}
		return ENotTransacted
	}
	var err error
	if d != Leave && lost == Success {
		if err = r.acquire(ctx); err == nil {
			err = r.dispose(h, d)
			r.release()
		}
	}
	r.srv.mu.Lock()
	defer r.srv.mu.Unlock()
	if r.lock == h {
		if r.depth--; r.depth == 0 {
			r.unlock()
		}
	}
	if lost != Success {
		return lost
	}
	return err
}

// dispose does to the card what a disposition says and tells everyone but h.
// Its caller holds the token.
func (r *Reader) dispose(h *handle, d Disposition) error {
	r.srv.mu.Lock()
	act := d != Leave && r.powered()
	if act {
		r.lose(WResetCard, h)
	}
	r.srv.mu.Unlock()
	switch {
	case !act:
		return nil
	case d == Reset:
		return r.powerOn(r.card.Reset)
	}
	r.powerOff()
	return nil
}
