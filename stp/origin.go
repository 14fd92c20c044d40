package stp

import (
	"container/list"
	"net"
	"net/netip"
	"time"
)

// How long a connection without a credential may be in nobody's way. A client
// whose packets take 150 ms in each direction sends its ClientHello with the
// end of TCP's handshake, and answers a flight of the server after 300 ms.
const (
	silentGrace  = 300 * time.Millisecond // to say nothing at all
	blockedGrace = 500 * time.Millisecond // to owe the next flight
	workGrace    = 3 * time.Second        // for the whole handshake, flight by flight
	flowTime     = 10 * time.Second       // to serve all of an address
	ownTrust     = 10 * time.Second       // for those of the same address
	othersTrust  = 2 * time.Second        // for all
)

// origin is where connections come from: an address, or for IPv6 the network of
// 64 bits, which is what one customer has.
type origin struct {
	key     netip.Prefix
	count   int       // connections without a credential
	silent  list.List // of *arrival, those that have said nothing, oldest first
	line    list.List // that wait for their turn, oldest first
	working map[*arrival]struct{}

	begun       time.Time
	heard       time.Time // when there was the last byte
	second      time.Time // that now is counted in, from its beginning
	now, before int       // handshakes that ended well in it, and in the one before
}

func newOrigin(key netip.Prefix) *origin {
	return &origin{key: key, working: make(map[*arrival]struct{}), begun: time.Now(), heard: time.Now()}
}

// originOf is the key of the origin of a connection. Addresses that are not
// IP's are one origin.
func originOf(addr net.Addr) netip.Prefix {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}
	}
	ip := tcp.AddrPort().Addr().Unmap().WithZone("")
	bits := 32
	if ip.Is6() {
		bits = 64
	}
	prefix, err := ip.Prefix(bits)
	if err != nil {
		return netip.Prefix{} // no address at all
	}
	return prefix
}

// came counts a handshake that has ended well.
func (o *origin) came(now time.Time) {
	if now.Sub(o.second) >= time.Second {
		o.before, o.now = o.now, 0
		if now.Sub(o.second) >= 2*time.Second {
			o.before = 0
		}
		o.second = now
	}
	o.now++
}

// flows tells whether this origin's handshakes come to their end: a storm of
// clients that mean it, which at this rate are all served within flowTime, and no
// attack. One that has begun not longer than a time ago, and says something, is
// taken for that: what its own connections wait for each other can be longer than
// what those of others have to wait behind them.
func (o *origin) flows(now time.Time, trust time.Duration) bool {
	if now.Sub(o.begun) < trust && now.Sub(o.heard) < time.Second {
		return true
	}
	rate := max(o.before, o.now)
	if now.Sub(o.second) >= 2*time.Second {
		rate = 0
	}
	return rate*int(flowTime/time.Second) >= o.count
}

// next is whose turn it is: the first in the line. Where nothing comes through
// it is the last, who cannot have waited in vain for long.
func (o *origin) next(now time.Time) *arrival {
	at := o.line.Front()
	if !o.flows(now, ownTrust) {
		at = o.line.Back()
	}
	return at.Value.(*arrival)
}

// slowest is the one at work that owes its next flight for the longest time, if
// it had time enough: grace for the flight.
func (o *origin) slowest(now time.Time, grace time.Duration) *arrival {
	var slowest *arrival
	for a := range o.working {
		if a.blocked.IsZero() || now.Sub(a.blocked) < grace && now.Sub(a.since) < workGrace {
			continue
		}
		if slowest == nil || a.since.Before(slowest.since) {
			slowest = a
		}
	}
	return slowest
}
