package stp

import (
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// from is a connection of an address, on which nothing is ever said.
type from struct {
	net.Conn
	addr string
}

func (f from) RemoteAddr() net.Addr             { return &net.TCPAddr{IP: net.ParseIP(f.addr)} }
func (f from) SetDeadline(time.Time) error      { return nil }
func (f from) SetWriteDeadline(time.Time) error { return nil }

// places is a door whose connections are counted by address.
type places struct {
	*door
	t  *testing.T
	of map[string][]*arrival
}

func newPlaces(t *testing.T, l Limits) *places {
	return &places{t: t, door: newDoor(l.withDefaults()), of: make(map[string][]*arrival)}
}

// come lets n connections of an address in as far as the door. They may have to
// go at once.
func (p *places) come(addr string, n int) (in []*arrival) {
	for range n {
		if a := p.enter(p.t.Context(), from{addr: addr}); a != nil {
			in = append(in, a)
		}
	}
	p.of[addr] = append(p.of[addr], in...)
	return in
}

// speak lets connections say their first bytes.
func (p *places) speak(all []*arrival) {
	for _, a := range all {
		p.queue(a)
	}
}

// expect compares how many connections of an address are in a stage.
func (p *places) expect(when, addr string, s stage, want int) {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	got := 0
	for _, a := range p.of[addr] {
		if a.stage == s {
			got++
		}
	}
	if got != want {
		p.t.Errorf("%s: %d of %s are at stage %d, want %d", when, got, addr, s, want)
	}
}

// One address has half of the handshakes and no more, though nobody else is
// there: who comes then has a turn at once.
func TestHalfForOneAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlaces(t, Limits{Handshakes: 8})
		p.speak(p.come("192.0.2.1", 10))
		p.expect("alone", "192.0.2.1", atWork, 4)
		p.expect("alone", "192.0.2.1", inLine, 6)
		p.speak(p.come("192.0.2.2", 1))
		p.expect("beside it", "192.0.2.2", atWork, 1)
	})
}

// Who has to go is one of the address that has the most, not the oldest.
func TestWhoHasToGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlaces(t, Limits{Unauthenticated: 10})
		p.come("192.0.2.1", 2)
		time.Sleep(time.Second)
		p.come("192.0.2.9", 8)
		if len(p.come("192.0.2.2", 1)) != 1 {
			t.Fatal("no place for one of another address")
		}
		p.expect("another comes", "192.0.2.1", silent, 2)
		p.expect("another comes", "192.0.2.9", silent, 7)
		p.expect("another comes", "192.0.2.2", silent, 1)
	})
}

// A connection has the time that an honest client needs to say its first word,
// though others wait for its place. Then it goes.
func TestTimeToSpeak(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlaces(t, Limits{Unauthenticated: 4})
		first := p.come("192.0.2.1", 1)
		time.Sleep(othersTrust + time.Second) // its address is nothing special any more
		p.come("192.0.2.1", 3)
		key := first[0].origin.key
		room := func() bool {
			p.mu.Lock()
			defer p.mu.Unlock()
			return p.makeRoom(key, time.Now())
		}
		if !room() {
			t.Error("one that was silent for seconds stays")
		}
		p.expect("the first had its time", "192.0.2.1", silent, 3)
		time.Sleep(silentGrace - time.Millisecond)
		if room() {
			t.Error("one had to go before its time")
		}
		time.Sleep(2 * time.Millisecond)
		if !room() {
			t.Error("one stays behind its time")
		}
	})
}

// Handshakes that owe a flight give way when others wait, not before a client
// that is far away can have answered, and those of the address that has the most.
func TestTimeToAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlaces(t, Limits{Handshakes: 4})
		p.speak(p.come("192.0.2.9", 2))
		p.speak(p.come("192.0.2.8", 1))
		p.speak(p.come("192.0.2.1", 1))
		for _, all := range p.of {
			for _, a := range all {
				p.waits(a, time.Now())
			}
		}
		p.speak(p.come("192.0.2.2", 1))
		p.expect("full", "192.0.2.2", inLine, 1)
		time.Sleep(blockedGrace - time.Millisecond)
		p.look(time.Now())
		p.expect("before its time", "192.0.2.2", inLine, 1)
		time.Sleep(2 * time.Millisecond)
		p.look(time.Now())
		p.expect("then", "192.0.2.2", atWork, 1)
		p.expect("then", "192.0.2.9", atWork, 1)
		p.expect("then", "192.0.2.8", atWork, 1)
		p.expect("then", "192.0.2.1", atWork, 1)
	})
}

// Only some may send a large handshake at one time, and a place there is given up
// by one that has stopped.
func TestLargeHandshakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlaces(t, Limits{Handshakes: 16}) // two
		all := p.come("192.0.2.1", 4)
		p.speak(all)
		if !p.allowLarge(all[0]) || !p.allowLarge(all[1]) || !p.allowLarge(all[1]) {
			t.Error("two may be large")
		}
		if p.allowLarge(all[2]) {
			t.Error("a third may be large beside two that go on")
		}
		p.waits(all[1], time.Now())
		time.Sleep(silentGrace)
		if !p.allowLarge(all[2]) {
			t.Error("one that has stopped keeps its place")
		}
		p.expect("it gives way", "192.0.2.1", atWork, 3)
		p.leave(all[0], true)
		if !p.allowLarge(all[3]) {
			t.Error("the place of one that has ended is not free")
		}
	})
}
