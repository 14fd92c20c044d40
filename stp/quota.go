package stp

import (
	"context"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"github.com/cloud-of-se/tses/access"
	"github.com/cloud-of-se/tses/internal/plain"
)

// What clients can cause to be written in the log is bounded: the log of a box is
// 2 MB, on a card that wears out. Of each kind there are so many lines in an
// interval, of strangers together and of each credential, and one more with the
// number of those that were left out.
const (
	quotaTime    = 10 * time.Minute
	mostNoise    = 5
	mostRefusals = 20
	mostOfOne    = 30
)

// logOf is the log of what one credential does.
func (s *Server) logOf(cred *access.Credential, from net.Addr) *slog.Logger {
	who := []any{"client", shownName(cred.Name), "serial", cred.Serial}
	if cred.CA != "" { // or it is taken for one of the TSES's own
		who = append(who, "ca", shownName(cred.CA))
	}
	return s.lines.Logger(cred.ID(), who...).With("from", from.String())
}

// shownName is a name as it stands in the log. Who is verified has one of 64
// characters at most (RFC 5280, ub-common-name); a stranger has any.
func shownName(name string) string { return plain.Short(name, 80) }

// quota is that of one kind of lines of strangers.
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
