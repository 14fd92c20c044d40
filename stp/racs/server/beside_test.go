package server_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloud-of-se/tses/internal/needs"
)

// attack is what somebody does to the server until the context is done. It
// returns when it is under way.
type attack struct {
	name string
	do   func(ctx context.Context, l *loaded, running *sync.WaitGroup)
}

// again does the same in some goroutines at so many a second in all.
func again(ctx context.Context, running *sync.WaitGroup, workers, perSecond int, do func()) {
	for range workers {
		running.Go(func() {
			tick := time.NewTicker(time.Duration(workers) * time.Second / time.Duration(perSecond))
			defer tick.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
					do()
				}
			}
		})
	}
}

// keep holds a connection until the server closes it or the attack ends.
func keep(ctx context.Context, running *sync.WaitGroup, c net.Conn) {
	running.Go(func() {
		stop := context.AfterFunc(ctx, func() { c.Close() })
		defer stop()
		io.Copy(io.Discard, c)
		c.Close()
	})
}

// fromElsewhere connects from another address than the others' clients.
func (l *loaded) fromElsewhere(ctx context.Context, running *sync.WaitGroup, first []byte) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}, Timeout: 5 * time.Second}
	c, err := d.DialContext(ctx, "tcp", l.addr)
	if err != nil {
		return // as many as there can be
	}
	c.Write(first)
	keep(ctx, running, c)
}

// firstBytes is a ClientHello.
func firstBytes(t *testing.T) []byte {
	t.Helper()
	a, b := net.Pipe()
	defer b.Close()
	defer a.Close()
	go tls.Client(a, stranger).Handshake()
	buf := make([]byte, 4096)
	n, err := b.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return buf[:n]
}

func attacks(t *testing.T) []attack {
	hello, silent := firstBytes(t), 1000
	if needs.Full() { // what connects them takes the most of two processors
		silent = 2900
	}
	line := "ECHO " + strings.Repeat("e", 180<<10)
	greed := []byte("BEGIN a\r\n" + strings.Repeat(line+" APPEND\r\n", 4) + line)
	return []attack{
		{"sessions that take all they can", func(ctx context.Context, l *loaded, running *sync.WaitGroup) {
			var ready sync.WaitGroup
			for range 64 + 32 { // all that there are, and some that wait
				ready.Add(1)
				running.Go(func() {
					c, err := tls.Dial("tcp", l.addr, l.conf["user0"])
					if err != nil {
						ready.Done()
						return
					}
					stop := context.AfterFunc(ctx, func() { c.NetConn().Close() })
					defer stop()
					defer c.NetConn().Close()
					c.SetWriteDeadline(time.Now().Add(300 * time.Millisecond)) // the server need not read all of it
					c.Write(greed)
					ready.Done()
					<-ctx.Done()
				})
			}
			ready.Wait()
		}},
		{"half-open handshakes", func(ctx context.Context, l *loaded, running *sync.WaitGroup) {
			again(ctx, running, 4, 300, func() { l.fromElsewhere(ctx, running, hello) })
		}},
		{"silent connections", func(ctx context.Context, l *loaded, running *sync.WaitGroup) {
			again(ctx, running, 4, silent, func() { l.fromElsewhere(ctx, running, nil) })
		}},
	}
}

const (
	besideTime   = 200 * time.Millisecond // of a measurement
	besideRounds = 5                      // until one is good: the machine has other things to do, too
)

// rate is how many APDUs a second somebody's session has answered.
func (l *loaded) rate(c net.Conn) int {
	l.t.Helper()
	begun, n := time.Now(), 0
	answer := make([]byte, len(oneAnswer))
	for ; time.Since(begun) < besideTime; n++ {
		pingPong(l.t, c, []byte(oneRequest), answer)
		if !bytes.Equal(answer, []byte(oneAnswer)) {
			l.t.Fatalf("got %q", answer)
		}
	}
	return n * int(time.Second) / int(time.Since(begun))
}

// Beside each attack another user keeps half of the APDU rate, and an
// administrator gets in within a second.
func TestBesideAttacks(t *testing.T) {
	most := time.Second
	if raced { // it takes time of its own
		most = 10 * time.Second
	}
	l := startLoaded(t)
	c, err := tls.Dial("tcp", l.addr, l.conf["user5"])
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	powerOn(t, c, "se0")
	for _, a := range attacks(t) {
		t.Run(a.name, func(t *testing.T) {
			l := &loaded{t: t, pid: l.pid, addr: l.addr, conf: l.conf}
			var seen []string
			half, soon := false, false
			for range besideRounds {
				alone := l.rate(c)
				ctx, cancel := context.WithCancel(t.Context())
				var running sync.WaitGroup
				a.do(ctx, l, &running)
				l.rate(c) // until it has its effect
				beside, took := l.rate(c), l.administrator()
				cancel()
				running.Wait()
				half, soon = half || 2*beside >= alone, soon || took < most
				seen = append(seen, fmt.Sprintf("%d APDUs/s alone, %d beside it; an administrator gets in after %v", alone, beside, took))
				if half && soon {
					break
				}
			}
			t.Log(strings.Join(seen, "\n"))
			if !half {
				t.Errorf("another user has less than half of the rate in each of %d rounds", besideRounds)
			}
			if !soon {
				t.Errorf("an administrator gets in after more than %v in each of %d rounds", most, besideRounds)
			}
		})
	}
}
