//go:build linux

package network

import (
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// cable is the wire of a test: what is sent is answered by a function, which
// returns nil for silence.
type cable struct {
	answer  func(m *message) *message
	answers chan []byte
}

func (c *cable) send(b []byte) error {
	m, err := parseMessage(b)
	if err != nil {
		return err
	}
	if a := c.answer(m); a != nil {
		c.answers <- a.bytes()
	}
	return nil
}

func (c *cable) receive(ctx context.Context) ([]byte, error) {
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case b := <-c.answers:
		return b, nil
	}
}

func (c *cable) Close() error { return nil }

// said is what a client said, and when.
type said struct {
	kind    byte
	at      time.Duration
	to      string // the server; "all"; "raw" without an address
	wanted  netip.Addr
	claimed netip.Addr // ciaddr
}

// bench is a client with a server whose mind can be changed.
type bench struct {
	client *dhcp
	began  time.Time
	heard  []said
	given  []Settings
	mind   func(m *message, to string) *message
}

const testLease = 1000 * time.Second

// reply is what a good server says.
func reply(m *message, kind byte) *message {
	seconds := func(d time.Duration) []byte { return binary.BigEndian.AppendUint32(nil, uint32(d/time.Second)) }
	return &message{op: bootReply, xid: m.xid, mac: m.mac, yours: netip.MustParseAddr("10.9.0.50"), options: map[byte][]byte{
		optType: {kind}, optServer: {10, 9, 0, 1}, optMask: {255, 255, 255, 0}, optLease: seconds(testLease),
	}}
}

func goodServer(m *message, _ string) *message {
	if m.kind() == discover {
		return reply(m, offer)
	}
	return reply(m, ack)
}

func newBench() *bench {
	b := &bench{began: time.Now(), mind: goodServer}
	wireTo := func(to string) (wire, error) {
		return &cable{answers: make(chan []byte, 16), answer: func(m *message) *message {
			b.heard = append(b.heard, said{m.kind(), time.Since(b.began), to, m.address(optRequestedIP), m.client})
			return b.mind(m, to)
		}}, nil
	}
	b.client = &dhcp{
		mac: ownMAC, host: "tses-0123", log: slog.New(slog.DiscardHandler), raw: func() (wire, error) { return wireTo("raw") },
		routed: func(_ context.Context, server netip.Addr) (wire, error) {
			if server == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
				return wireTo("all")
			}
			return wireTo(server.String())
		},
		give: func(s Settings) error { b.given = append(b.given, s); return nil },
	}
	return b
}

// run runs the client for a while.
func (b *bench) run(t *testing.T, d time.Duration) error {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	return b.client.run(ctx)
}

func (b *bench) check(t *testing.T, want ...said) {
	t.Helper()
	for i := range b.heard {
		b.heard[i].at = b.heard[i].at.Round(10 * time.Second)
		if !b.heard[i].claimed.IsValid() || b.heard[i].claimed.IsUnspecified() {
			b.heard[i].claimed = netip.Addr{}
		}
	}
	if !slices.Equal(b.heard, want) {
		t.Errorf("said %v\nwant %v", b.heard, want)
	}
}

var (
	leased = netip.MustParseAddr("10.9.0.50")
	nobody = netip.Addr{}
	bound  = []said{{discover, 0, "raw", nobody, nobody}, {request, 0, "raw", leased, nobody}}
)

// RFC 2131, 4.4.5: renewed at half of the lease, by the server alone.
func TestRenew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		b.run(t, 1100*time.Second)
		b.check(t, append(bound, said{request, 500 * time.Second, "10.9.0.1", nobody, leased}, said{request, 1000 * time.Second, "10.9.0.1", nobody, leased})...)
		if len(b.given) != 3 || !b.given[2].Connected() {
			t.Errorf("given %+v", b.given)
		}
	})
}

// A server that has gone: asked alone until T2, then all are, and at the end
// the address is taken away.
func TestExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		b.mind = func(m *message, to string) *message {
			if time.Since(b.began) > time.Second {
				return nil
			}
			return goodServer(m, to)
		}
		err := b.run(t, time.Hour)
		if !errors.Is(err, errNoAnswer) {
			t.Errorf("got %v, want errNoAnswer", err)
		}
		renewing, rebinding := "10.9.0.1", "all"
		b.check(t, append(bound,
			said{request, 500 * time.Second, renewing, nobody, leased}, said{request, 690 * time.Second, renewing, nobody, leased},
			said{request, 780 * time.Second, renewing, nobody, leased}, said{request, 840 * time.Second, renewing, nobody, leased},
			said{request, 880 * time.Second, rebinding, nobody, leased}, said{request, 940 * time.Second, rebinding, nobody, leased},
			said{request, 1000 * time.Second, rebinding, nobody, leased},
			said{discover, 1000 * time.Second, "raw", nobody, nobody}, said{discover, 1000 * time.Second, "raw", nobody, nobody},
			said{discover, 1010 * time.Second, "raw", nobody, nobody}, said{discover, 1030 * time.Second, "raw", nobody, nobody},
			said{discover, 1060 * time.Second, "raw", nobody, nobody})...)
		if len(b.given) != 2 || b.given[1].Connected() {
			t.Errorf("given %+v", b.given)
		}
	})
}

// Another server takes over where the first has gone.
func TestRebind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		b.mind = func(m *message, to string) *message {
			if to == "10.9.0.1" {
				return nil
			}
			return goodServer(m, to)
		}
		b.run(t, 900*time.Second)
		if got := b.heard[len(b.heard)-1]; got.to != "all" || got.at != 875*time.Second {
			t.Errorf("said %+v", got)
		}
		if len(b.given) != 2 || !b.given[1].Connected() {
			t.Errorf("given %+v", b.given)
		}
	})
}

// A refusal takes the address away at once, and another is asked for.
func TestRefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		b.mind = func(m *message, to string) *message {
			if to == "10.9.0.1" {
				return &message{op: bootReply, xid: m.xid, mac: m.mac, options: map[byte][]byte{optType: {nak}, optServer: {10, 9, 0, 1}}}
			}
			return goodServer(m, to)
		}
		b.run(t, 600*time.Second)
		b.check(t, append(bound, said{request, 500 * time.Second, "10.9.0.1", nobody, leased},
			said{discover, 500 * time.Second, "raw", nobody, nobody}, said{request, 500 * time.Second, "raw", leased, nobody})...)
		if len(b.given) != 3 || b.given[1].Connected() || !b.given[2].Connected() {
			t.Errorf("given %+v", b.given)
		}
	})
}

// A refusal of what was just offered is an error: the next try comes later.
func TestRefusedOffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		b.mind = func(m *message, to string) *message {
			if m.kind() == discover {
				return reply(m, offer)
			}
			return &message{op: bootReply, xid: m.xid, mac: m.mac, options: map[byte][]byte{optType: {nak}, optServer: {10, 9, 0, 1}}}
		}
		if err := b.run(t, time.Hour); !errors.Is(err, errRefused) || len(b.given) != 0 {
			t.Errorf("got %v, given %+v", err, b.given)
		}
	})
}

// After the connection was lost the former address is asked for (INIT-REBOOT),
// and another if that is refused or nobody says anything.
func TestReboot(t *testing.T) {
	for name, tt := range map[string]struct {
		after  time.Duration
		answer byte // to the request for the former address
		want   []byte
	}{
		"same network":    {10 * time.Second, ack, []byte{request}},
		"another network": {10 * time.Second, nak, []byte{request, discover, request}},
		"silence":         {10 * time.Second, 0, []byte{request, discover, request}},
		"too late":        {2 * testLease, ack, []byte{discover, request}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench()
				b.run(t, time.Second)
				b.heard = nil
				time.Sleep(tt.after)
				first := true
				b.mind = func(m *message, to string) *message {
					defer func() { first = false }()
					switch {
					case !first || m.kind() == discover || tt.answer == ack:
						return goodServer(m, to)
					case tt.answer == nak:
						return &message{op: bootReply, xid: m.xid, mac: m.mac, options: map[byte][]byte{optType: {nak}, optServer: {10, 9, 0, 1}}}
					}
					return nil
				}
				b.run(t, 10*time.Second)
				var got []byte
				for _, s := range b.heard {
					got = append(got, s.kind)
				}
				if !slices.Equal(got, tt.want) || len(b.given) != 2 {
					t.Errorf("said %v, want %v; given %+v", got, tt.want, b.given)
				}
			})
		})
	}
}

// What a server says of times is taken within bounds.
func TestTimes(t *testing.T) {
	for _, tt := range []struct{ lease, t1, t2, renew, rebind, expires uint32 }{
		{1000, 0, 0, 5, 5, 1000},
		{1000, 300, 600, 300, 600, 1000},
		{1000, 900, 950, 500, 875, 1000},                                    // behind what the lease leaves time for
		{1000, 300, 200, 300, 300, 1000},                                    // T2 before T1
		{1, 1, 1, 5, 5, 20},                                                 // would make the box ask all the time
		{1000, 1<<32 - 1, 1 << 31, 500, 875, 1000},                          // T1 behind the end
		{1<<32 - 1, 1<<32 - 1, 1<<32 - 1, 1<<31 - 1, 3758096383, 1<<32 - 1}, // for ever
	} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench()
			b.mind = func(m *message, to string) *message {
				a := goodServer(m, to)
				for code, value := range map[byte]uint32{optLease: tt.lease, optRenewal: tt.t1, optRebinding: tt.t2} {
					a.options[code] = binary.BigEndian.AppendUint32(nil, value)
				}
				return a
			}
			b.run(t, time.Second)
			var got [3]uint32
			for i, at := range []time.Time{b.client.held.renew, b.client.held.rebind, b.client.held.expires} {
				got[i] = uint32(at.Sub(b.began) / time.Second)
			}
			if want := [3]uint32{tt.renew, tt.rebind, tt.expires}; got != want {
				t.Errorf("%v: got %v, want %v", tt, got, want)
			}
		})
	}
}

// Answers to others, and those that cannot be used, are not taken.
func TestNotTaken(t *testing.T) {
	for name, change := range map[string]func(*message){
		"another transaction": func(m *message) { m.xid++ },
		"another client":      func(m *message) { m.mac[5]++ },
		"a client":            func(m *message) { m.op = bootRequest },
		"no server":           func(m *message) { delete(m.options, optServer) },
		"no mask":             func(m *message) { delete(m.options, optMask) },
		"no type":             func(m *message) { delete(m.options, optType) },
		"loopback":            func(m *message) { m.yours = netip.MustParseAddr("127.0.0.1") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench()
				b.mind = func(m *message, to string) *message {
					a := goodServer(m, to)
					change(a)
					return a
				}
				if err := b.run(t, time.Hour); !errors.Is(err, errNoAnswer) || len(b.given) != 0 {
					t.Errorf("got %v, given %+v", err, b.given)
				}
			})
		})
	}
}
