package chipbus

import (
	"time"

	"github.com/cloud-of-se/tses/drivers/internal/t1"
)

// pace learns how long a chip takes for each kind of answer, so that the first
// look for it finds it. A look too early costs little, one too late all that it
// is late; so it keeps to the earliest of the times that vary.
type pace map[t1.Reason]*window

// window holds the answer time between the latest look that found nothing and
// the earliest that found the answer.
type window struct {
	early, late time.Duration
	guessed     bool // early was not seen: the chip may have become faster
	patience    int  // how many first looks have to succeed before that is tried
	hits        int  // that have

	later int           // how many answers in a row came after late
	least time.Duration // the earliest of them
}

const (
	narrow      = 16 // a window of less than 1/16 of the time is not halved further
	narrowest   = 20 * time.Microsecond
	minPatience = 4
	maxPatience = 64
	enoughLater = 6 // answers in a row after which the chip has become slower
)

// first is when to look first, from the end of the block to the chip.
func (p pace) first(r t1.Reason) time.Duration {
	w := p[r]
	switch {
	case w == nil:
		return 0
	case w.wide():
		return w.early + (w.late-w.early)/2
	}
	return w.late
}

func (w *window) wide() bool { return w.late-w.early > max(narrowest, w.late/narrow) }

// learn notes an answer that was found at the time at; missed is the last look
// before, 0 if the first one found it.
func (p pace) learn(r t1.Reason, at, missed time.Duration) {
	w := p[r]
	switch {
	case w == nil:
		p[r] = &window{early: missed, late: at, guessed: missed == 0, patience: minPatience}
	case missed == 0:
		w.hit(at)
	default:
		w.miss(at, missed)
	}
}

// hit narrows the window. Where its lower end is a guess and the chip is below
// the middle, the guess goes down twice as far.
func (w *window) hit(at time.Duration) {
	w.later = 0
	if gained := w.late - at; gained > 0 {
		w.late = at
		if w.guessed {
			w.early, w.patience = max(0, at-2*gained), minPatience
		}
		return
	}
	w.early = min(w.early, w.late)
	if w.hits++; w.hits >= w.patience {
		w.hits, w.guessed = 0, true
		w.early = w.late - w.late/8
	}
}

// miss raises the lower end. An answer that comes after the window moves it only
// if several do.
func (w *window) miss(at, missed time.Duration) {
	w.hits = 0
	if missed < w.late {
		if w.guessed {
			w.patience = min(2*w.patience, maxPatience)
		}
		w.early, w.late, w.guessed, w.later = missed, min(w.late, at), false, 0
		return
	}
	if w.later == 0 || at < w.least {
		w.least = at
	}
	if w.later++; w.later >= enoughLater {
		*w = window{early: w.late, late: w.least, guessed: true, patience: w.patience}
	}
}
