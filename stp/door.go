package stp

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"
)

// door is where connections wait until they have shown a credential. What they
// can hold there is bounded, and shared fairly between the addresses that they
// come from:
//
//   - One that has said nothing holds a descriptor and no more.
//   - One that has spoken waits in its address's line, unread, for its turn to be
//     worked on. The next turn is that of the address with the fewest at work.
//   - One at work has the time of a handshake, may send a bounded number of bytes
//     and computes when a processor is free for it.
//
// Nobody has to go while there is room. When there is none, it is one of the
// address that has the most, and only one that had the time that an honest
// client needs. So a storm of clients is served in its turn, though all of them
// come from one address, and whoever takes many places and does nothing with
// them takes them from itself.
type door struct {
	limits Limits
	turns  *turns

	mu      sync.Mutex
	origins map[netip.Prefix]*origin
	silent  list.List // of *arrival, of all origins, oldest first
	count   int
	working int
	large   int // of those at work that have sent more than smallHandshake
	closed  error
	reached map[string]int // limits that kept somebody out, and have not been told
	freed   chan struct{}  // there may be room again
}

func newDoor(l Limits) *door {
	return &door{
		limits: l, turns: newTurns(), origins: make(map[netip.Prefix]*origin), reached: make(map[string]int),
		freed: make(chan struct{}, 1),
	}
}

// most is how many of one origin may be at work at a time.
func (d *door) most() int { return (d.limits.Handshakes + 1) / 2 }

// mostLarge is how many may send more than smallHandshake at a time.
func (d *door) mostLarge() int { return d.limits.Handshakes/16 + 1 }

// pauseTime is how long a connection is waited with for a place, and none is
// accepted.
const pauseTime = time.Second

// errNoPlace is why a connection has to go whose place others need.
var errNoPlace = errors.New("the place was needed for others")

// enter gives a new connection a place. Where there is none to be had it waits
// for one, if the connections of its address come and go as they should: those
// behind it are then in the kernel's queue. nil says that it has to go.
func (d *door) enter(ctx context.Context, raw net.Conn) *arrival {
	key := originOf(raw.RemoteAddr())
	for begun := time.Now(); ; {
		d.mu.Lock()
		if d.count < d.limits.Unauthenticated || d.makeRoom(key, time.Now()) {
			defer d.mu.Unlock()
			return d.add(raw, key)
		}
		wait := min(d.pause(key, time.Now()), pauseTime-time.Since(begun))
		d.reached[limitUnauthenticated] = d.limits.Unauthenticated
		d.mu.Unlock()
		if wait <= 0 {
			return nil
		}
		select {
		case <-d.freed:
		case <-time.After(wait):
		case <-ctx.Done():
			return nil
		}
	}
}

// pause is how long a connection may be waited with for a place: until one of the
// same address comes free, or one that has said nothing had its time.
func (d *door) pause(key netip.Prefix, now time.Time) time.Duration {
	o := d.origins[key]
	switch {
	case o == nil:
		return 0
	case o.flows(now, othersTrust):
		return pauseTime
	case o.silent.Len() > 0:
		return silentGrace - now.Sub(o.silent.Front().Value.(*arrival).since) + time.Millisecond
	}
	return 0
}

func (d *door) add(raw net.Conn, key netip.Prefix) *arrival {
	o := d.origins[key]
	if o == nil {
		o = newOrigin(key)
		d.origins[key] = o
	}
	a := &arrival{Conn: raw, door: d, origin: o, since: time.Now(), turn: make(chan struct{}), out: make(chan struct{})}
	a.ofAll, a.ofOrigin = d.silent.PushBack(a), o.silent.PushBack(a)
	o.count++
	d.count++
	if d.closed != nil {
		d.evict(a, d.closed)
	}
	return a
}

// makeRoom ends a connection for one of the origin key, if there is one that
// has to go.
func (d *door) makeRoom(key netip.Prefix, now time.Time) bool {
	biggest, own := d.biggest(), 0
	if o := d.origins[key]; o != nil {
		own = o.count
	}
	var victim *arrival
	if biggest.key != key || !biggest.flows(now, othersTrust) {
		victim = oldSilent(&biggest.silent, now)
	}
	if victim == nil && biggest.count > own+1 {
		victim = biggest.last()
	}
	if o := d.origins[key]; victim == nil && (o == nil || !o.flows(now, othersTrust)) {
		if victim = oldSilent(&d.silent, now); victim == nil {
			victim = biggest.slowest(now, blockedGrace)
		}
	}
	if victim == nil {
		return false
	}
	d.evictFor(victim, limitUnauthenticated, d.limits.Unauthenticated)
	return true
}

func (d *door) biggest() (most *origin) {
	for _, o := range d.origins {
		if most == nil || o.count > most.count {
			most = o
		}
	}
	return most
}

// oldSilent is the oldest of those that have said nothing, if it had the time to.
func oldSilent(l *list.List, now time.Time) *arrival {
	if front := l.Front(); front != nil && now.Sub(front.Value.(*arrival).since) >= silentGrace {
		return front.Value.(*arrival)
	}
	return nil
}

// last is the one of an origin that loses the least when it has to go.
func (o *origin) last() *arrival {
	for _, l := range []*list.List{&o.silent, &o.line} {
		if back := l.Back(); back != nil {
			return back.Value.(*arrival)
		}
	}
	return nil
}

// evict ends a connection. Its goroutine sees it and closes it.
func (d *door) evict(a *arrival, why error) {
	a.why = why
	close(a.out)
	// A connection that refuses a deadline is closed already.
	_ = a.Conn.SetDeadline(past)
	d.drop(a)
}

// evictFor ends a connection for a limit, which run tells of.
func (d *door) evictFor(a *arrival, limit string, value int) {
	d.reached[limit] = value
	d.evict(a, fmt.Errorf("%w: limits.%s = %d", errNoPlace, limit, value))
}

// drop takes a connection out of every count.
func (d *door) drop(a *arrival) {
	if a.stage == gone {
		return
	}
	d.unlist(a)
	o := a.origin
	if a.stage == atWork {
		delete(o.working, a)
		d.working--
	}
	if a.large {
		d.large--
	}
	a.stage, a.large = gone, false
	o.count--
	d.count--
	if o.count == 0 {
		delete(d.origins, o.key)
	}
	select {
	case d.freed <- struct{}{}:
	default:
	}
}

// unlist takes a connection out of the list that it is in.
func (d *door) unlist(a *arrival) {
	switch a.stage {
	case silent:
		d.silent.Remove(a.ofAll)
		a.origin.silent.Remove(a.ofOrigin)
	case inLine:
		a.origin.line.Remove(a.ofOrigin)
	}
}

// queue puts a connection that has spoken into the line.
func (d *door) queue(a *arrival) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if a.stage == gone {
		return
	}
	d.unlist(a)
	a.stage, a.since = inLine, time.Now()
	a.origin.heard = a.since
	a.ofOrigin = a.origin.line.PushBack(a)
	d.dispatch(a.since)
}

// leave gives the place of a connection back. well says that it has shown a
// credential.
func (d *door) leave(a *arrival, well bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if a.stage != gone && well {
		a.origin.came(time.Now())
	}
	d.drop(a)
	d.dispatch(time.Now())
}

// dispatch gives turns while there are some.
func (d *door) dispatch(now time.Time) {
	for d.working < d.limits.Handshakes {
		var next *origin
		for _, o := range d.origins {
			if o.line.Len() > 0 && len(o.working) < d.most() && (next == nil || o.comes(next)) {
				next = o
			}
		}
		if next == nil {
			return
		}
		a := next.next(now)
		d.unlist(a)
		a.stage, a.since = atWork, now
		next.working[a] = struct{}{}
		d.working++
		close(a.turn)
	}
}

// comes tells whether an origin comes before another at the next turn.
func (o *origin) comes(other *origin) bool {
	if len(o.working) != len(other.working) {
		return len(o.working) < len(other.working)
	}
	return o.line.Front().Value.(*arrival).since.Before(other.line.Front().Value.(*arrival).since)
}

// pressTime is how often it is looked whether those in line wait for the slow.
const pressTime = 50 * time.Millisecond

// run makes the slow give way until the context is done, and tells of limits
// that were reached. It is not for those who wait to tell it: a log can be slow.
func (d *door) run(ctx context.Context, tell func(limit string, value int)) {
	tick := time.NewTicker(pressTime)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			for limit, value := range d.look(now) {
				tell(limit, value)
			}
		}
	}
}

// look presses, and returns the limits that were reached.
func (d *door) look(now time.Time) map[string]int {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.press(now)
	if len(d.reached) == 0 {
		return nil
	}
	reached := d.reached
	d.reached = make(map[string]int)
	return reached
}

// press ends handshakes that do not go on, as far as others wait for a turn.
func (d *door) press(now time.Time) {
	for _, waiting := range d.origins {
		for waiting.line.Len() > 0 {
			victim := d.inTheWayOf(waiting, now)
			if victim == nil {
				break
			}
			d.evictFor(victim, limitHandshakes, d.limits.Handshakes)
			d.dispatch(now)
		}
	}
}

// inTheWayOf is the handshake that has to give way to an origin's next: of the
// address that has the most, or of the same one if nothing of it comes through.
func (d *door) inTheWayOf(o *origin, now time.Time) *arrival {
	var most *origin
	for _, other := range d.origins {
		if most == nil || len(other.working) > len(most.working) {
			most = other
		}
	}
	if d.working >= d.limits.Handshakes && len(most.working) > len(o.working)+1 {
		return most.slowest(now, blockedGrace)
	}
	if !o.flows(now, ownTrust) {
		return o.slowest(now, silentGrace)
	}
	return nil
}

// close ends those that have not got a turn, and all later ones; with all, those
// at work too.
func (d *door) close(why error, all bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = why
	for _, o := range d.origins {
		for o.silent.Len() > 0 {
			d.evict(o.silent.Front().Value.(*arrival), why)
		}
		for o.line.Len() > 0 {
			d.evict(o.line.Front().Value.(*arrival), why)
		}
		for a := range o.working {
			if all {
				d.evict(a, why)
			}
		}
	}
}
