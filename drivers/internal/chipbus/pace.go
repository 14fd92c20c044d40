package chipbus

import (
	"time"

	"github.com/cloud-of-se/tses/drivers/internal/t1"
)

// pace learns how long a chip takes for each kind of answer, so that the first
// look for it finds it. A look too early costs the least polling time, one too
// late what it is late.
type pace map[t1.Reason]*window

// window holds the answer time between the latest look that found nothing and
// the earliest that found the answer.
type window struct {
	early, late time.Duration
	hits        int // first looks in a row that found the answer
}

const (
	closeEnough  = 16 // a window narrower than 1/16 of the time is not narrowed further
	hitsToDoubt  = 8  // then the chip may have become faster
	narrowEnough = 20 * time.Microsecond
)

// first is when to look first, from the end of the block to the chip.
func (p pace) first(r t1.Reason) time.Duration {
	w := p[r]
	if w == nil {
		return 0
	}
	if width := w.late - w.early; width > max(narrowEnough, w.late/closeEnough) {
		return w.early + width/2
	}
	return w.late
}

// learn notes an answer that was found at the time at, by the first look or not;
// missed is the last look before, 0 if there was none.
func (p pace) learn(r t1.Reason, at, missed time.Duration) {
	w := p[r]
	if w == nil {
		w = &window{late: at}
		p[r] = w
	}
	if missed > 0 {
		w.early, w.late, w.hits = missed, at, 0
		return
	}
	w.late = min(w.late, at)
	if w.early > w.late {
		w.early = 0
	}
	if w.hits++; w.hits >= hitsToDoubt {
		w.hits = 0
		w.early = min(w.early, w.late-w.late/8)
	}
}
