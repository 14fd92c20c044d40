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
// commands of a session.
type patience struct {
	time time.Duration
	gone func() error // tells why there is nobody left to wait for the answer

	mu     sync.Mutex
	timer  *time.Timer
	cancel context.CancelFunc // of the command under way; nil: there is none
	last   time.Time          // to which it may be drawn out
	until  time.Time
	why    error // it was given up
}

// begin gives a command its time. end has to follow.
func (w *patience) begin(ctx context.Context) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	w.cancel, w.until, w.last, w.why = cancel, now.Add(w.time), now.Add(moreTimes*w.time), nil
	if w.timer == nil {
		w.timer = time.AfterFunc(w.time, w.expire)
	} else {
		w.timer.Reset(w.time)
	}
	return ctx
}

// end adds to the command's error why it was given up.
func (w *patience) end(err error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer.Stop()
	w.cancel()
	w.cancel = nil
	if err != nil && w.why != nil {
		return fmt.Errorf("%w: %w", w.why, err)
	}
	return err
}

// expire gives the command up, unless the timer is one that more time or another
// command has overtaken.
func (w *patience) expire() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cancel == nil || time.Now().Before(w.until) {
		return
	}
	w.stop(fmt.Errorf("given up after %v: %w", w.time, context.DeadlineExceeded))
}

func (w *patience) stop(why error) {
	if w.why == nil {
		w.why = why
	}
	w.cancel()
}

// busy is called where the SE asks for more time.
func (w *patience) busy() {
	gone := w.gone()
	w.mu.Lock()
	defer w.mu.Unlock()
	switch now := time.Now(); {
	case w.cancel == nil:
	case gone != nil:
		w.stop(gone)
	default:
		if w.until = now.Add(w.time); w.until.After(w.last) {
			w.until = w.last
		}
		w.timer.Reset(w.until.Sub(now))
	}
}
