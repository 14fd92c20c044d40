package stp

import (
	"container/list"
	"context"
	"time"
)

// A session for which there is no place waits while others of the same
// credential come to their end, so that a storm of short ones is served in its
// turn.
const (
	shareStill = 2 * time.Second  // without an end, it is refused
	shareTime  = 30 * time.Second // it is refused in any case
)

// queues are the sessions that wait for a place, a line for each credential. How
// many wait in all is bounded: each is a connection whose handshake has been paid
// for, and holds its buffers.
type queues struct {
	most  int                 // may wait
	each  int                 // sessions that a credential may have
	waits int                 // in all lines
	lines map[*share]struct{} // the credentials of which somebody waits
	turns [2]list.List        // of *share, whose turn can come: administrators, others
}

// applicant is a session that waits for a place.
type applicant struct {
	share *share
	at    *list.Element // in the line of its share; nil: it waits no more
	let   bool          // it has the place
	done  chan struct{} // closed when it waits no more
}

func newQueues(l Limits) queues {
	return queues{most: max(1, l.Sessions/4), each: l.CredentialSessions, lines: make(map[*share]struct{})}
}

// await waits until it is decided on a session, or no more to be waited for.
func (s *shares) await(ctx context.Context, a *applicant, out <-chan struct{}) {
	tick := time.NewTicker(shareStill)
	defer tick.Stop()
	for begun := time.Now(); time.Since(begun) < shareTime; {
		select {
		case <-a.done:
			return
		case <-out:
			return
		case <-ctx.Done():
			return
		case now := <-tick.C:
			s.mu.Lock()
			still := now.Sub(a.share.ended) > shareStill
			s.mu.Unlock()
			if still {
				return
			}
		}
	}
}

// join puts a session of a credential into its line; nil says that there is no
// room for it.
func (q *queues) join(sh *share) *applicant {
	if q.waits >= q.most && !q.makeRoom(sh) {
		return nil
	}
	a := &applicant{share: sh, done: make(chan struct{})}
	a.at = sh.line.PushBack(a)
	q.waits++
	q.settle(sh)
	return a
}

// makeRoom sends the newest away of the credential of which the most wait, if of
// this one there are fewer.
func (q *queues) makeRoom(sh *share) bool {
	longest := sh
	for other := range q.lines {
		if other.line.Len() > longest.line.Len() {
			longest = other
		}
	}
	if longest.line.Len() <= sh.line.Len()+1 {
		return false
	}
	q.part(longest.line.Back().Value.(*applicant))
	return true
}

// part takes a session out of its line.
func (q *queues) part(a *applicant) {
	if a.at == nil {
		return
	}
	a.share.line.Remove(a.at)
	a.at = nil
	q.waits--
	close(a.done)
	if a.share.line.Len() == 0 {
		q.unturn(a.share)
		delete(q.lines, a.share)
	}
}

// settle puts a credential among those whose turn can come, or takes it away from
// there.
func (q *queues) settle(sh *share) {
	if sh.line.Len() == 0 {
		return
	}
	q.lines[sh] = struct{}{}
	if sh.sessions >= q.each {
		q.unturn(sh)
	} else if sh.turn == nil {
		sh.turn = q.turnsOf(sh).PushBack(sh)
	}
}

func (q *queues) unturn(sh *share) {
	if sh.turn != nil {
		q.turnsOf(sh).Remove(sh.turn)
		sh.turn = nil
	}
}

func (q *queues) turnsOf(sh *share) *list.List {
	if sh.administrator {
		return &q.turns[0]
	}
	return &q.turns[1]
}

// letIn gives places that are free to those who wait, to each credential one in
// its turn.
func (s *shares) letIn() {
	for i := range s.turns {
		for at := s.turns[i].Front(); at != nil; at = s.turns[i].Front() {
			sh := at.Value.(*share)
			if s.full(sh) != nil {
				break // for all together: for itself it would not be here
			}
			a := sh.line.Front().Value.(*applicant)
			a.let = true
			s.count(sh)
			s.part(a)
			s.unturn(sh) // and behind the others
			s.settle(sh)
		}
	}
}
