package stp

import (
	"context"
	"sync/atomic"
	"time"
)

// What strangers can cause to be written in the log is bounded: the log of a box
// is 2 MB, on a card that wears out. Of each kind there are so many lines in an
// interval, and one more with the number of those that were left out.
const (
	quotaTime    = time.Minute
	mostNoise    = 5
	mostRefusals = 20
)

// quota is that of one kind of lines.
type quota struct{ asked atomic.Int64 }

// take tells whether there may be one line more in this interval.
func (q *quota) take(most int64) bool { return q.asked.Add(1) <= most }

// renew begins an interval, and returns how many lines the last one has left
// out.
func (q *quota) renew(most int64) int64 { return max(0, q.asked.Swap(0)-most) }

// sumUp begins intervals until the context is done.
func (s *Server) sumUp(ctx context.Context) {
	tick := time.NewTicker(quotaTime)
	defer tick.Stop()
	for done := false; !done; {
		select {
		case <-ctx.Done():
			done = true
		case <-tick.C:
		}
		for _, kind := range []struct {
			quota *quota
			most  int64
			line  string
		}{
			{&s.noise, mostNoise, "no TLS session"}, {&s.refusals, mostRefusals, "not let in"}, {&s.full, mostRefusals, "accept: out of file descriptors"},
		} {
			if n := kind.quota.renew(kind.most); n > 0 {
				s.Log.Warn(kind.line+": more of them were not written down", "number", n, "within", quotaTime)
			}
		}
	}
}
