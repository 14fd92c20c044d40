package journal

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// Quota bounds how many lines of each kind there are from each origin. A kind is
// a message: what differs from line to line stands in its attributes.
//
// Of what is more than that one line tells how many there were, at the end of the
// interval. The last line before them says that there may be more.
type Quota struct {
	next  slog.Handler
	lines int
	time  time.Duration

	mu     sync.Mutex
	counts map[kind]*count // of this interval
}

// kind is what is counted together.
type kind struct {
	origin  any
	message string
}

// count is how many there were.
type count struct {
	lines int
	of    *slog.Logger // the origin's
	level slog.Level
}

// maxKinds is how many kinds are told apart. Those that come later in an interval
// are counted together: who can make origins cannot fill the memory with them.
const maxKinds = 4096

// NewQuota lets pass so many lines of each kind to the handler in each interval.
// [Quota.Run] must run, or an interval has no end.
func NewQuota(next slog.Handler, lines int, interval time.Duration) *Quota {
	return &Quota{next: next, lines: lines, time: interval, counts: make(map[kind]*count)}
}

// Logger is for the lines of one origin, which is any value that can be compared.
// The attributes are those of the origin, and stand in all of its lines.
func (q *Quota) Logger(origin any, attrs ...any) *slog.Logger {
	of := slog.New(q.next).With(attrs...)
	return slog.New(&limited{Handler: of.Handler(), quota: q, origin: origin, of: of})
}

// Run ends intervals until the context is done. Then it ends the last one.
func (q *Quota) Run(ctx context.Context) {
	tick := time.NewTicker(q.time)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			q.renew()
			return
		case <-tick.C:
			q.renew()
		}
	}
}

// renew begins an interval, and tells what the last one has left out.
func (q *Quota) renew() {
	q.mu.Lock()
	counts := q.counts
	q.counts = make(map[kind]*count)
	q.mu.Unlock()
	for k, c := range counts {
		if left := c.lines - q.lines; left > 0 {
			c.of.Log(context.Background(), c.level, "lines were left out", "of", k.message, "number", left, "within", q.time)
		}
	}
}

// take tells whether there may be one line more, and whether it is the last.
func (q *Quota) take(h *limited, r *slog.Record) (ok, last bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	k := kind{h.origin, r.Message}
	c := q.counts[k]
	if c == nil && len(q.counts) >= maxKinds {
		k = kind{message: "all kinds that were too many"}
		c = q.counts[k]
	}
	if c == nil {
		c = &count{of: h.of, level: r.Level}
		if k.origin == nil {
			c.of = slog.New(q.next)
		}
		q.counts[k] = c
	}
	c.lines++
	return c.lines <= q.lines, c.lines == q.lines
}

// limited is the handler of one origin.
type limited struct {
	slog.Handler
	quota  *Quota
	origin any
	of     *slog.Logger
}

func (h *limited) Handle(ctx context.Context, r slog.Record) error {
	ok, last := h.quota.take(h, &r)
	if !ok {
		return nil
	}
	if last {
		r = r.Clone()
		r.AddAttrs(slog.String("note", "further ones are only counted"))
	}
	return h.Handler.Handle(ctx, r)
}

func (h *limited) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &limited{h.Handler.WithAttrs(attrs), h.quota, h.origin, h.of}
}

func (h *limited) WithGroup(name string) slog.Handler {
	return &limited{h.Handler.WithGroup(name), h.quota, h.origin, h.of}
}
