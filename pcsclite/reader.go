package pcsclite

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Reader is a reader that a [Server] shows to programs. Its owner tells when a
// card comes and goes; the methods may be called from anywhere.
type Reader struct {
	srv  *Server
	card Card
	io   chan struct{} // holds a token while nobody talks to the card

	// Guarded by srv.mu. Changes are made by those who hold the token as
	// well, except what Insert, Remove and Unplug do.
	state    ReaderState
	handles  map[uint32]*handle
	gone     bool
	lock     *handle // whose transaction runs, or nil
	depth    int     // transactions nest
	since    time.Time
	unlocked chan struct{} // closed when lock becomes nil, then replaced
}

// handle is one connection of a program to a reader.
type handle struct {
	id     uint32
	reader *Reader
	who    string
	share  Share
	lost   Code // why the program has to reconnect, or Success
	since  time.Time
}

func newReader(s *Server, name string, card Card) *Reader {
	r := &Reader{srv: s, card: card, io: make(chan struct{}, 1), handles: map[uint32]*handle{}, unlocked: make(chan struct{})}
	r.io <- struct{}{}
	r.state = ReaderState{Name: name, Status: Absent}
	return r
}

// Name is the name that programs see.
func (r *Reader) Name() string { return r.state.Name }

// Insert puts a card into the reader. Its ATR is shown until the card is
// powered on and gives its own; libpcsclite takes 400 ms longer over a card
// without one. Where a card was in, this is another one. An ATR of more than
// [MaxATR] bytes is an error.
func (r *Reader) Insert(atr []byte) error {
	if len(atr) > MaxATR {
		return fmt.Errorf("insert into %q: an ATR of %d bytes, the most are %d", r.Name(), len(atr), MaxATR)
	}
	r.srv.mu.Lock()
	defer r.srv.mu.Unlock()
	if r.state.Status&Absent == 0 {
		r.removed()
	}
	r.state.Status, r.state.ATR = Present, append([]byte(nil), atr...)
	r.state.Events++
	r.publish()
	return nil
}

// Present tells whether a card is in the reader. One that the [Card] reported
// as removed is not.
func (r *Reader) Present() bool {
	r.srv.mu.Lock()
	defer r.srv.mu.Unlock()
	return r.state.Status&Present != 0
}

// Remove takes the card out: programs that are connected are told so. The card
// is not called. Without a card it does nothing.
func (r *Reader) Remove() {
	r.srv.mu.Lock()
	defer r.srv.mu.Unlock()
	r.removed()
}

// removed is Remove for those who hold srv.mu.
func (r *Reader) removed() {
	if r.state.Status&Absent != 0 {
		return
	}
	r.state.Status, r.state.ATR, r.state.Protocol = Absent, nil, 0
	r.state.Events++
	r.lose(WRemovedCard, nil)
	r.unlock()
	r.publish()
}

// lose tells all connections but one that they have to reconnect. What is
// worse stays: a removed card is not a reset one.
func (r *Reader) lose(why Code, but *handle) {
	for _, h := range r.handles {
		if h != but && h.lost < why {
			h.lost = why
		}
	}
}

func (r *Reader) unlock() {
	if r.lock == nil {
		return
	}
	r.lock, r.depth = nil, 0
	close(r.unlocked)
	r.unlocked = make(chan struct{})
}

// publish counts the connections and wakes whoever waits for a change.
func (r *Reader) publish() {
	n := int32(0)
	for _, h := range r.handles {
		switch {
		case h.lost == WRemovedCard:
		case h.share == Exclusive:
			n = -1
		default:
			n++
		}
		if n < 0 {
			break
		}
	}
	r.state.Sharing = n
	r.srv.broadcast()
}

// powered tells whether the card is on.
func (r *Reader) powered() bool { return r.state.Status&Powered != 0 }

// idle tells that the card is on for nobody.
func (r *Reader) idle() bool {
	for _, h := range r.handles {
		if h.share != Direct && h.lost != WRemovedCard {
			return false
		}
	}
	return r.powered()
}

// acquire waits for the card to be free of calls.
func (r *Reader) acquire(ctx context.Context) error {
	select {
	case <-r.io:
		return nil
	case <-ctx.Done():
		return EServiceStopped
	}
}

// powerOffBound ends a PowerOff that does not come back.
const powerOffBound = 10 * time.Second

// release lets the next one call the card. With the last connection gone the
// card is powered off here, whoever was the last to talk to it.
func (r *Reader) release() {
	r.srv.mu.Lock()
	idle := r.idle()
	r.srv.mu.Unlock()
	if idle {
		r.powerOff()
	}
	r.io <- struct{}{}
}

// powerOff takes the power from the card. Its caller holds the token. It has
// its own bound: it is what has to be done when all else has ended.
func (r *Reader) powerOff() {
	ctx, cancel := context.WithTimeout(context.Background(), powerOffBound)
	defer cancel()
	if err := r.card.PowerOff(ctx); err != nil {
		r.srv.log.Warn("power off failed; the card is taken as off", "reader", r.Name(), "error", err)
	}
	r.srv.mu.Lock()
	defer r.srv.mu.Unlock()
	if r.state.Status&Present != 0 {
		r.state.Status, r.state.Protocol = Present, 0
		r.publish()
	}
}

// powerOn powers or resets the card and keeps its ATR. Its caller holds the
// token.
func (r *Reader) powerOn(call func(context.Context) ([]byte, error)) error {
	var atr []byte
	return r.call("power on", func(ctx context.Context) (err error) {
		atr, err = call(ctx)
		if err == nil && len(atr) > MaxATR {
			return fmt.Errorf("an ATR of %d bytes, the most are %d: %w", len(atr), MaxATR, WUnresponsiveCard)
		}
		return err
	}, func() {
		r.state.Status, r.state.ATR, r.state.Protocol = Present|Powered|Negotiable, append([]byte(nil), atr...), 0
		r.publish()
	})
}

// call makes one call of the card, bounded, and draws from its error what it
// tells about the reader; after a success it does what follows with srv.mu
// held. The call does not end with the program that asked: what a chip has
// begun is better waited for than lost. A card that was exchanged meanwhile
// counts as removed.
func (r *Reader) call(what string, f func(context.Context) error, then func()) error {
	r.srv.mu.Lock()
	events := r.state.Events
	r.srv.mu.Unlock()
	ctx, cancel := context.WithTimeout(r.srv.ctx, r.srv.opts.CallTimeout)
	defer cancel()
	err := f(ctx)
	r.srv.mu.Lock()
	defer r.srv.mu.Unlock()
	if r.state.Events != events {
		return WRemovedCard
	}
	if err == nil {
		then()
		return nil
	}
	code := codeOf(err)
	r.srv.log.Warn("the card failed", "reader", r.Name(), "operation", what, "error", err, "code", code)
	switch code {
	case WRemovedCard, ENoSmartcard:
		r.removed()
	case WUnresponsiveCard:
		r.state.Status, r.state.Protocol = Present|Swallowed, 0
		r.publish()
	}
	return code
}

// codeOf is the code in an error.
func codeOf(err error) Code {
	var c Code
	switch {
	case err == nil:
		return Success
	case errors.As(err, &c):
		return c
	}
	return FCommError
}
