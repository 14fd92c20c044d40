package server

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// moreTimes is how often the time of a command may be begun anew by an SE that
// says that it works on it.
const moreTimes = 10

// patience is the time of one command on an SE. It is begun anew each time that
// the SE asks for more (drivers.Busy), but not for ever. One is used for all
// commands of a session, and its context and its timer go from command to command:
// the context until it is cancelled, the timer until it fires and finds that
// nothing is under way.
type patience struct {
	time time.Duration
	gone func() error // tells why there is nobody left to wait for the answer

	mu     sync.Mutex
	parent context.Context // of ctx
	ctx    context.Context // nil: there is none, or it was cancelled
	cancel context.CancelFunc
	timer  *time.Timer
	armed  bool      // the timer will fire
	works  bool      // a command is under way
	last   time.Time // to which it may be drawn out
	until  time.Time
	why    error // it was given up
}

// begin gives a command its time. end has to follow.
func (w *patience) begin(parent context.Context) context.Context {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ctx == nil || w.parent != parent {
		w.drop()
		w.parent = parent
		w.ctx, w.cancel = context.WithCancel(parent)
	}
	now := time.Now()
	w.works, w.until, w.last, w.why = true, now.Add(w.time), now.Add(moreTimes*w.time), nil
	if !w.armed { // else it fires too early, and is set again
		w.set(w.time)
	}
	return w.ctx
}

// set makes the timer fire.
func (w *patience) set(d time.Duration) {
	w.armed = true
	if w.timer == nil {
		w.timer = time.AfterFunc(d, w.expire)
		return
	}
	w.timer.Reset(d)
}

// end adds to the command's error why it was given up.
func (w *patience) end(err error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.works = false
	if err != nil && w.why != nil {
		return fmt.Errorf("%w: %w", w.why, err)
	}
	return err
}

// close ends what goes from command to command.
func (w *patience) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.drop()
	if w.timer != nil {
		w.timer.Stop()
	}
}

// drop cancels the context.
func (w *patience) drop() {
	if w.ctx != nil {
		w.cancel()
		w.ctx = nil
	}
}

// expire gives the command up whose time is over.
func (w *patience) expire() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.armed = false
	if !w.works {
		return
	}
	if left := time.Until(w.until); left > 0 {
		w.set(left)
		return
	}
	w.stop(fmt.Errorf("given up after %v: %w", w.time, context.DeadlineExceeded))
}

func (w *patience) stop(why error) {
	if w.why == nil {
		w.why = why
	}
	w.drop()
}

// busy is called where the SE asks for more time.
func (w *patience) busy() {
	gone := w.gone()
	w.mu.Lock()
	defer w.mu.Unlock()
	switch now := time.Now(); {
	case !w.works:
	case gone != nil:
		w.stop(gone)
	default:
		if w.until = now.Add(w.time); w.until.After(w.last) {
			w.until = w.last
		}
		w.set(w.until.Sub(now))
	}
}
