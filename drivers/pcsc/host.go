package pcsc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/cloud-of-se/tses/drivers"
)

// closeTime bounds the end of a host: what a reader keeps longer is left to the
// end of the process.
const closeTime = 10 * time.Second

// Options of a [Host].
type Options struct {
	// Found, where it is set, gets every card that is no element, under the
	// SEID that [SEID] derives, when it comes and when it goes.
	Found Inventory

	Log *slog.Logger // nil: nowhere
}

// Inventory is told of the cards that come and go. Its methods are called one
// at a time, and should return soon: meanwhile the readers are not watched.
type Inventory interface {
	// Add gets an SE that is off, under a SEID that is free among the found.
	Add(seid string, se drivers.SE) error

	// Remove takes back what Add got: the card is gone, or pcscd is.
	Remove(seid string) error
}

// Host watches the readers of this machine's pcscd.
type Host struct {
	opts  Options
	links sync.WaitGroup // of the connections that are being given back

	cancel context.CancelFunc // ends the watch; nil before Start
	ended  chan struct{}      // closed when it has ended

	mu       sync.Mutex
	elements []*element
	found    map[string]string // SEID to reader, of what Found has
	seen     []reader          // the last look, in pcscd's order
	down     error             // why nothing is seen; nil when pcscd answers
	doubles  map[string]bool   // readers whose SEID another one has, already told
}

// element is an SE of the configuration and the reader it is in, or "".
type element struct {
	match  Match
	reader string
}

// NewHost returns a host that knows of no readers yet.
func NewHost(opts Options) *Host {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	return &Host{
		opts: opts, found: make(map[string]string), doubles: make(map[string]bool),
		ended: make(chan struct{}), down: errors.New("the readers are not watched yet"),
	}
}

// Element returns the SE that a match describes. Those that were asked for
// earlier have the first choice among the readers. It is to be called before
// [Host.Start].
func (h *Host) Element(m Match) (*Card, error) {
	if err := m.Check(); err != nil {
		return nil, fmt.Errorf("pcsc: %w", err)
	}
	e := &element{match: m}
	h.mu.Lock()
	h.elements = append(h.elements, e)
	h.mu.Unlock()
	return &Card{host: h, name: m.String(), where: func() (string, error) { return h.whereIs(e) }}, nil
}

// whereIs is the reader that an element is in.
func (h *Host) whereIs(e *element) (string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case e.reader != "":
		return e.reader, nil
	case h.down != nil:
		return "", fmt.Errorf("%w: pcscd does not answer; start it: %w", drivers.ErrNoCard, h.down)
	}
	return "", fmt.Errorf("%w: no card fits %s", drivers.ErrNoCard, e.match)
}

// Start begins to watch, and returns when the readers of this moment are known,
// pcscd turns out to be away, or ctx is done; the watch goes on in any case,
// until [Host.Close].
func (h *Host) Start(ctx context.Context) {
	watching, cancel := context.WithCancel(context.WithoutCancel(ctx))
	h.cancel = cancel
	first := make(chan struct{})
	go func() {
		defer close(h.ended)
		h.watch(watching, sync.OnceFunc(func() { close(first) }))
	}()
	select {
	case <-first:
	case <-ctx.Done():
	}
}

// Close ends the watch. The SEs must be off, and are used no more. Calls to
// readers that do not return within ten seconds are an error, and left behind.
func (h *Host) Close() error {
	end := time.NewTimer(closeTime)
	defer end.Stop()
	if h.cancel != nil {
		h.cancel()
		select {
		case <-h.ended:
		case <-end.C:
			return errors.New("pcsc: the watch of the readers does not end: pcscd does not answer; restart pcscd")
		}
	}
	done := make(chan struct{})
	go func() {
		h.links.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-end.C:
		return errors.New("pcsc: a card is not given back: a reader does not answer; plug it anew")
	}
}
