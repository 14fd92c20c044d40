package stp

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"sync"
	"time"
)

// stage is how far a connection without a credential has come.
type stage uint8

const (
	silent stage = iota // it has said nothing
	inLine              // it waits for its turn
	atWork              // its handshake is worked on
	gone                // it has no place: let in, or ended
)

// smallHandshake is what every client may send until its handshake has ended; the
// chains of the TSES's own CA have less than half of it. Only some may send more
// at one time.
const smallHandshake = 4 << 10

// lineTime bounds the wait for a turn.
const lineTime = time.Minute

// ErrHandshakeBytes says that a client has sent more than a handshake needs.
var ErrHandshakeBytes = errors.New("too many bytes before the end of the handshake")

// arrival is a connection on its way in. It is the net.Conn that TLS is spoken
// on, during the handshake and after it.
type arrival struct {
	net.Conn
	door   *door
	origin *origin

	// Guarded by door.mu.
	stage           stage
	since           time.Time // of the stage
	blocked         time.Time // since when it owes bytes; zero: it does not
	large           bool
	ofAll, ofOrigin *list.Element

	turn chan struct{} // closed when it is at work
	out  chan struct{} // closed when it has to go, after why was set
	why  error

	// Of its own goroutine.
	hello    [1]byte
	unread   int // of hello
	read     int // bytes, until it is in
	answered bool
	in       bool // the handshake has ended
}

// ended is why the connection has to go, nil if it has not.
func (a *arrival) ended() error {
	select {
	case <-a.out:
		return a.why
	default:
		return nil
	}
}

// awaitHello waits for the first byte.
func (a *arrival) awaitHello(patience time.Duration) error {
	// What ends the connection between the two calls closes a.out first.
	if err := a.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if err := a.ended(); err != nil {
		return err
	}
	n, err := a.Conn.Read(a.hello[:])
	a.unread, a.read = n, n
	return errors.Join(a.ended(), err)
}

// awaitTurn waits until the handshake is to be worked on.
func (a *arrival) awaitTurn(ctx context.Context) error {
	a.door.queue(a)
	patience := time.NewTimer(lineTime)
	defer patience.Stop()
	select {
	case <-a.turn:
		return nil
	case <-a.out:
		return a.why
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-patience.C:
		return fmt.Errorf("no turn within %v: limits.%s = %d", lineTime, limitHandshakes, a.door.limits.Handshakes)
	}
}

// Read counts what is read during the handshake, and gives the processor free
// while it waits.
func (a *arrival) Read(p []byte) (int, error) {
	if a.in {
		return a.Conn.Read(p)
	}
	if a.unread > 0 && len(p) > 0 {
		a.unread = 0
		p[0] = a.hello[0]
		return 1, nil
	}
	most, err := a.allowance()
	if err != nil {
		return 0, err
	}
	a.door.waits(a, time.Now())
	a.door.turns.give()
	n, err := a.Conn.Read(p[:min(len(p), most)])
	a.door.heard(a)
	a.door.turns.take(a.answered)
	a.read += n
	return n, err
}

// allowance is how many bytes may be read now.
func (a *arrival) allowance() (int, error) {
	most := min(smallHandshake, a.door.limits.HandshakeBytes)
	if a.read >= most && a.door.allowLarge(a) {
		most = a.door.limits.HandshakeBytes
	}
	if a.read >= most {
		return 0, fmt.Errorf("%w: %d, limits.%s = %d", ErrHandshakeBytes, a.read, limitHandshakeBytes, a.door.limits.HandshakeBytes)
	}
	return most - a.read, nil
}

// Write gives the processor free: a client may take its time.
func (a *arrival) Write(p []byte) (int, error) {
	if a.in {
		return a.Conn.Write(p)
	}
	a.answered = true
	a.door.turns.give()
	defer a.door.turns.take(true)
	return a.Conn.Write(p)
}

// waits notes since when a connection owes bytes.
func (d *door) waits(a *arrival, since time.Time) {
	d.mu.Lock()
	a.blocked = since
	d.mu.Unlock()
}

// heard notes that a connection has sent what it owed.
func (d *door) heard(a *arrival) {
	d.mu.Lock()
	a.blocked, a.origin.heard = time.Time{}, time.Now()
	d.mu.Unlock()
}

// allowLarge lets a connection send a large handshake, in the place of one that
// has stopped in the middle of it if need be.
func (d *door) allowLarge(a *arrival) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if a.large || a.stage == gone {
		return a.large
	}
	if d.large >= d.mostLarge() {
		victim := d.slowestLarge(time.Now())
		if victim == nil {
			return false
		}
		d.evictFor(victim, limitHandshakes, d.limits.Handshakes)
	}
	a.large = true
	d.large++
	return true
}

// slowestLarge is, of the address that has the most large handshakes, the one
// that owes bytes for the longest time.
func (d *door) slowestLarge(now time.Time) (victim *arrival) {
	most := 0
	for _, o := range d.origins {
		number, slowest := 0, (*arrival)(nil)
		for a := range o.working {
			if !a.large {
				continue
			}
			number++
			if !a.blocked.IsZero() && now.Sub(a.blocked) >= silentGrace && (slowest == nil || a.blocked.Before(slowest.blocked)) {
				slowest = a
			}
		}
		if number > most && slowest != nil {
			most, victim = number, slowest
		}
	}
	return victim
}

// turns are the processors that handshakes may have at one time: half of them,
// so that those who are in do not notice a storm. Handshakes that are about to
// end go first: they give back what they hold.
type turns struct {
	mu    sync.Mutex
	free  int
	lines [2][]chan struct{}
}

func newTurns() *turns { return &turns{free: max(1, runtime.GOMAXPROCS(0)/2)} }

// take waits for a processor. The wait ends: who has one computes, and waits for
// nothing.
func (t *turns) take(first bool) {
	t.mu.Lock()
	if t.free > 0 {
		t.free--
		t.mu.Unlock()
		return
	}
	line := &t.lines[0]
	if !first {
		line = &t.lines[1]
	}
	turn := make(chan struct{})
	*line = append(*line, turn)
	t.mu.Unlock()
	<-turn
}

func (t *turns) give() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, line := range t.lines {
		if len(line) > 0 {
			close(line[0])
			t.lines[i] = line[1:]
			return
		}
	}
	t.free++
}
