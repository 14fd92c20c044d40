//go:build unix

package clock

import (
	"context"
	"encoding/binary"
	"net"
	"testing"
	"time"
)

// ntpServer answers on loopback as RFC 5905, 7.3 has it, with a time that is so
// far off, until the test ends.
func ntpServer(t *testing.T, off time.Duration) (addr string) {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for b := make([]byte, 512); ; {
			n, from, err := conn.ReadFrom(b)
			if err != nil {
				return
			}
			if n < 48 {
				continue
			}
			// NTP's seconds begin in 1900.
			now := time.Now().Add(off)
			stamp := uint64(now.Unix()+2208988800)<<32 | uint64(now.Nanosecond())<<32/1e9
			answer := make([]byte, 48)
			answer[0], answer[1], answer[2], answer[3] = 4<<3|4, 2, 6, 0xEC
			binary.BigEndian.PutUint64(answer[16:], stamp) // reference
			copy(answer[24:32], b[40:48])                  // origin
			binary.BigEndian.PutUint64(answer[32:], stamp)
			binary.BigEndian.PutUint64(answer[40:], stamp)
			_, _ = conn.WriteTo(answer, from) // who does not hear it asks again
		}
	}()
	t.Cleanup(func() { conn.Close(); <-done })
	return conn.LocalAddr().String()
}

// On the wire: one server that is years ahead is told and kept nowhere, and two
// that are right put it right.
func TestOnTheWire(t *testing.T) {
	real := time.Now()
	m := newMachine(t, time.Unix(0, 0))
	m.Built = real.Add(-day)
	if err := m.Start(); err != nil {
		t.Fatal(err)
	}
	// The library finds the offset of the machine's own clock.
	m.Query = func(ctx context.Context, server string) (time.Duration, error) {
		c := Clock{}
		offset, err := c.query(ctx, server)
		return offset - m.offset, err
	}
	m.Others = []string{ntpServer(t, 15*365*day)}
	if !m.synchronise(t.Context()) || m.State() != Told || m.now().Before(real.Add(15*365*day)) {
		t.Fatalf("one that is ahead: %v, %v\n%s", m.now(), m.State(), &m.log)
	}
	m.save()
	if s, err := readFloor(m.File); err != nil || s.Evidence.After(time.Now()) || s.Witnessed.After(time.Now()) {
		t.Errorf("saved %+v, %v", s, err)
	}
	m.Others = append(m.Others, ntpServer(t, 0), ntpServer(t, time.Second))
	if !m.synchronise(t.Context()) || m.State() != Proven || time.Since(m.now()).Abs() > time.Minute {
		t.Errorf("two that are right besides: %v, %v\n%s", m.now(), m.State(), &m.log)
	}
}
