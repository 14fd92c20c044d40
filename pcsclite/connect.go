package pcsclite

import (
	"context"
	"time"
)

// connect opens a connection for a program. With the first one the card is
// powered on.
func (r *Reader) connect(ctx context.Context, who string, share Share, asked Protocol) (*handle, Protocol, error) {
	h := &handle{reader: r, who: who, share: share, since: time.Now()}
	if err := checkShare(share, asked); err != nil {
		return nil, 0, err
	}
	if err := r.notExclusive(h); err != nil {
		return nil, 0, err // at once, not behind its holder's transaction
	}
	if err := r.free(ctx, h, connectWait); err != nil {
		return nil, 0, err
	}
	r.srv.mu.Unlock()
	if err := r.acquire(ctx); err != nil {
		return nil, 0, err
	}
	defer r.release()
	active, err := r.join(h, asked)
	if err != nil {
		return nil, 0, err
	}
	return h, active, nil
}

func checkShare(share Share, asked Protocol) error {
	switch {
	case share < Exclusive || share > Direct:
		return EInvalidValue
	case share != Direct && asked&(ProtocolAny|Raw|anyOld) == 0:
		return EProtoMismatch
	}
	return nil
}

// join makes h a connection of the reader, powering the card where needed. Its
// caller holds the token.
func (r *Reader) join(h *handle, asked Protocol) (Protocol, error) {
	if err := r.admissible(h); err != nil {
		return 0, err
	}
	r.srv.mu.Lock()
	on := r.powered()
	r.srv.mu.Unlock()
	if !on && h.share != Direct {
		if err := r.powerOn(r.card.PowerOn); err != nil {
			return 0, atConnect(err)
		}
	}
	r.srv.mu.Lock()
	defer r.srv.mu.Unlock()
	if h.share != Direct {
		if r.gone || !r.powered() {
			return 0, ENoSmartcard // it went away behind the power-on
		}
		if err := r.negotiate(asked); err != nil {
			return 0, err
		}
	}
	if h.id == 0 {
		h.id = r.srv.newHandle(h)
		r.handles[h.id] = h
	}
	h.lost = Success
	r.publish()
	return r.state.Protocol, nil
}

// notExclusive tells whether another program has the reader for itself.
func (r *Reader) notExclusive(h *handle) error {
	r.srv.mu.Lock()
	defer r.srv.mu.Unlock()
	return r.conflict(h, func(other *handle) bool { return other.share == Exclusive })
}

// conflict is a sharing violation where one of the others is in the way of h.
// Its caller holds srv.mu.
func (r *Reader) conflict(h *handle, inTheWay func(other *handle) bool) error {
	for _, other := range r.handles {
		if other.id == h.id || other.lost == WRemovedCard || !inTheWay(other) {
			continue
		}
		r.srv.log.Info("sharing violation", "reader", r.state.Name, "program", h.who, "holder", other.who,
			"exclusive", other.share == Exclusive, "for", time.Since(other.since).Round(time.Millisecond))
		return ESharingViolation
	}
	return nil
}

// admissible tells whether the share mode of h goes with the others' and
// whether there is a card for it.
func (r *Reader) admissible(h *handle) error {
	r.srv.mu.Lock()
	defer r.srv.mu.Unlock()
	if r.gone {
		return EReaderUnavailable
	}
	if err := r.conflict(h, func(other *handle) bool { return other.share == Exclusive || h.share == Exclusive }); err != nil {
		return err
	}
	if h.share != Direct && r.state.Status&Present == 0 {
		return ENoSmartcard
	}
	return nil
}

// negotiate sets the protocol with the first connection and holds later ones
// to it.
func (r *Reader) negotiate(asked Protocol) error {
	if asked&anyOld != 0 {
		asked |= ProtocolAny
	}
	if r.state.Protocol == 0 {
		r.state.Protocol = choose(r.state.ATR, asked)
	}
	if r.state.Protocol&asked == 0 {
		return EProtoMismatch // Raw alone, too: there is no link below APDUs
	}
	return nil
}

// atConnect turns what a card says in the middle of things into what a program
// expects before it is connected.
func atConnect(err error) error {
	if codeOf(err) == WRemovedCard {
		return ENoSmartcard
	}
	return err
}

// reconnect renews a connection after a reset, or changes its share mode, or
// resets the card.
func (r *Reader) reconnect(ctx context.Context, h *handle, share Share, asked Protocol, d Disposition) (Protocol, error) {
	if err := checkShare(share, asked); err != nil {
		return 0, err
	}
	if d > Unpower {
		return 0, EInvalidValue
	}
	if err := r.free(ctx, h, lockWait); err != nil {
		return 0, err
	}
	r.srv.mu.Unlock()
	if err := r.acquire(ctx); err != nil {
		return 0, err
	}
	defer r.release()
	return r.rejoin(h, share, asked, d)
}

// rejoin is reconnect with the token held. A refusal leaves the connection as
// it was.
func (r *Reader) rejoin(h *handle, share Share, asked Protocol, d Disposition) (Protocol, error) {
	wish := &handle{id: h.id, share: share, who: h.who}
	if err := r.admissible(wish); err != nil {
		return 0, err
	}
	r.srv.mu.Lock()
	mute := r.state.Status&Swallowed != 0
	r.srv.mu.Unlock()
	if d == Leave && mute {
		return 0, WUnresponsiveCard
	}
	if err := r.dispose(h, d); err != nil {
		return 0, atConnect(err)
	}
	r.srv.mu.Lock()
	before := h.share
	h.share = share
	r.srv.mu.Unlock()
	active, err := r.join(h, asked)
	if err != nil {
		r.srv.mu.Lock()
		h.share = before
		r.srv.mu.Unlock()
	}
	return active, err
}

// disconnect ends a connection. With the last one the card is powered off,
// whatever the disposition. Only waiting for another's transaction ends with
// the program.
func (r *Reader) disconnect(program context.Context, h *handle, d Disposition) error {
	if d > Eject {
		return EInvalidValue
	}
	ctx, cancel := context.WithTimeout(context.Background(), r.srv.opts.CallTimeout)
	defer cancel()
	if d != Leave { // a card inside another's transaction is not reset
		if err := r.free(program, h, connectWait); err == nil {
			r.srv.mu.Unlock()
		} else if err != EReaderUnavailable {
			return err
		}
	}
	last, alive := r.leave(h)
	if !last && (d == Leave || !alive) {
		return nil
	}
	if err := r.acquire(ctx); err != nil {
		return nil // who talks to the card now powers it off in release
	}
	defer r.release()
	if !last {
		if err := r.dispose(h, d); err != nil {
			return nil // told to the log; the connection is gone all the same
		}
	}
	return nil
}

// leave takes h off the reader. It tells whether the card is now on for nobody
// and whether h had not been lost before.
func (r *Reader) leave(h *handle) (last, alive bool) {
	r.srv.mu.Lock()
	defer r.srv.mu.Unlock()
	if r.lock == h {
		r.unlock()
	}
	delete(r.handles, h.id)
	delete(r.srv.handles, h.id)
	r.publish()
	return r.idle(), h.lost == Success
}
