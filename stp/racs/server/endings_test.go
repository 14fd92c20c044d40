package server_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloud-of-se/tses/access"
	"github.com/cloud-of-se/tses/internal/needs"
	"github.com/cloud-of-se/tses/stp"
	"github.com/cloud-of-se/tses/stp/stptest"
)

// ending is a way in which a client's connection comes to its end. What it does
// is allowed to fail: the server may be the first to go.
type ending struct {
	name string
	do   func(raw *net.TCPConn, conf *tls.Config)
}

// stranger is what a client without a credential knows of TLS.
var stranger = &tls.Config{InsecureSkipVerify: true}

// talk lets a client in, and say something.
func talk(raw net.Conn, conf *tls.Config, send string) *tls.Conn {
	c := tls.Client(raw, conf)
	_, _ = io.WriteString(c, send)
	return c
}

// reset ends a connection as of a host that has gone.
func reset(raw *net.TCPConn) {
	_ = raw.SetLinger(0)
	_ = raw.Close()
}

// goodbye reads to the end, and ends TLS in good order.
func goodbye(c *tls.Conn) {
	_, _ = io.Copy(io.Discard, c)
	_ = c.Close()
}

func endings(foreign tls.Certificate) []ending {
	unknown := stranger.Clone()
	unknown.Certificates = []tls.Certificate{foreign}
	return []ending{
		{"nothing is said", func(raw *net.TCPConn, _ *tls.Config) { _ = raw.Close() }},
		{"no TLS", func(raw *net.TCPConn, _ *tls.Config) {
			_, _ = io.WriteString(raw, "GET / HTTP/1.1\r\n\r\n")
			_, _ = io.Copy(io.Discard, raw)
		}},
		{"a reset in the handshake", func(raw *net.TCPConn, conf *tls.Config) {
			_ = tls.Client(&stopping{Conn: raw}, conf).Handshake()
			reset(raw)
		}},
		{"no certificate", func(raw *net.TCPConn, _ *tls.Config) { goodbye(talk(raw, stranger, "")) }},
		{"a foreign certificate", func(raw *net.TCPConn, _ *tls.Config) { goodbye(talk(raw, unknown, "")) }},
		{"QUIT", func(raw *net.TCPConn, conf *tls.Config) {
			goodbye(talk(raw, conf, "BEGIN\r\nPOWERON card\r\nEND\r\nBEGIN\r\nQUIT\r\nEND\r\n"))
		}},
		{"a close in a request", func(raw *net.TCPConn, conf *tls.Config) {
			_ = talk(raw, conf, "BEGIN a\r\nPOWERON card\r\nECHO").Close()
		}},
		{"a reset in an APDU", func(raw *net.TCPConn, conf *tls.Config) {
			talk(raw, conf, "BEGIN a\r\nPOWERON card\r\nAPDU card 80DD0005\r\n")
			reset(raw)
		}},
		{"an answer that nobody reads", func(raw *net.TCPConn, conf *tls.Config) {
			talk(raw, conf, "BEGIN a\r\nECHO "+strings.Repeat("e", 100_000)+"\r\nEND\r\n")
			reset(raw)
		}},
	}
}

// open is how many descriptors the process has.
func open(t *testing.T) int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		needs.Missing(t, "descriptors are counted in /proc: "+err.Error())
	}
	return len(entries)
}

// back waits until there is no more of something than there was.
func back(t *testing.T, what string, was int, is func() int) {
	t.Helper()
	for begun := time.Now(); is() > was; time.Sleep(5 * time.Millisecond) {
		if time.Since(begun) > 20*time.Second {
			t.Errorf("%d %s, there were %d", is(), what, was)
			return
		}
	}
}

// regain has the card once, which may take a while: clients that have gone may
// not be in yet.
func (b *bench) regain() {
	b.t.Helper()
	c := b.Dial(b.cred)
	defer c.Close()
	for begun := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		got := b.ask(c, "BEGIN\r\nPOWERON card\r\nEND\r\n")
		if strings.Contains(got, "+008 ") {
			powerOff(b.t, c, "card")
			return
		}
		if !strings.Contains(got, "-708 ") || time.Since(begun) > 10*time.Second {
			b.t.Fatalf("the card is not to be had: %q", got)
		}
	}
}

// However connections end, nothing is left of them: no session, no goroutine, no
// descriptor, no memory, no SE that is held. A neighbour notices nothing.
func TestNineEndings(t *testing.T) {
	each, memory := 40, uint64(8<<20)
	if needs.Full() {
		each = 21_000/9 + 1
	}
	b := newBench(t, stp.Limits{CredentialSessions: 16}, 0)
	other := stptest.Start(t, stptest.Options{})
	ways, conf := endings(other.Credential("mallory", access.User)), b.TLS(b.cred)
	run := func(each int) { // at its end there is the neighbour's session alone
		var clients sync.WaitGroup
		for w := range 12 {
			clients.Go(func() {
				for i := w; i < each*len(ways); i += 12 {
					raw, err := net.Dial("tcp", b.Addr)
					if err != nil {
						t.Error(err)
						return
					}
					_ = raw.SetDeadline(time.Now().Add(30 * time.Second)) // one that is closed needs none
					ways[i%len(ways)].do(raw.(*net.TCPConn), conf)
					_ = raw.Close() // many are by now
				}
			})
		}
		clients.Wait()
		b.regain()
		back(t, "sessions", 1, func() int { return len(b.Server.Sessions()) })
	}
	run(3) // what is made once is there
	runtime.GC()
	goroutines, files, before := runtime.NumGoroutine(), open(t), inUse()
	begun := time.Now()
	run(each)
	t.Logf("%d connections in %v", each*len(ways), time.Since(begun))
	back(t, "goroutines", goroutines+2, runtime.NumGoroutine)
	back(t, "descriptors", files, func() int { return open(t) })
	runtime.GC()
	if after := inUse(); after > before+memory {
		t.Errorf("%d KiB are in use, %d were", after>>10, before>>10)
	}
}

// inUse is the memory of what is alive and of what was not collected yet.
func inUse() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// badLines makes lines of which none may reach an SE. want is how the status of
// each has to begin.
func badLines(r *rand.Rand) (line, want string) {
	bytes := func(n int, from string) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = from[r.IntN(len(from))]
		}
		return string(b)
	}
	const hex, upper, control = "0123456789ABCDEF", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "\x00\x01\x07\x08\x0b\x0c\x1b\x7f"
	switch r.IntN(9) {
	case 0: // a verb that is none
		return "X" + bytes(1+r.IntN(30), upper) + " card " + bytes(8, hex), "-100 001 "
	case 1: // an odd number of digits
		return "APDU card " + bytes(1+2*r.IntN(200), hex), "-506 001 "
	case 2: // digits that are none
		return "APDU card " + bytes(8, hex) + bytes(2, "GHIJKL"), "-506 001 "
	case 3: // Lc that is not that of the data
		return fmt.Sprintf("APDU card 00D60000%02X%s", 100+r.IntN(100), bytes(2*(2+r.IntN(90)), hex)), "-506 001 "
	case 4: // control bytes
		return "ECHO " + bytes(1+r.IntN(50), control), "-509 001 "
	case 5: // no such SE
		return "APDU no" + bytes(r.IntN(100), hex) + " 00B0000001", "-406 001 "
	case 6: // an option that is none
		return "APDU card 00B0000001 X" + bytes(1+r.IntN(20), upper) + "=" + bytes(4, hex), "-406 001 "
	case 7: // nothing but the verb
		return []string{"APDU", "POWERON", "SHUTDOWN", "RESET"}[r.IntN(4)], "-5"
	}
	return "APDU " + strings.Repeat("s", 1+r.IntN(3000)), "-5"
}

// A session that sends bad lines without end has each answered as what it is.
// Nothing reaches the card, and nothing is kept of them.
func TestManyBadLines(t *testing.T) {
	lines, memory := 4_700, uint64(8<<20)
	if needs.Full() {
		lines = 470_000
	}
	b := newBench(t, stp.Limits{}, 0)
	c := b.Dial(b.cred)
	powerOn(t, c, "card")
	c.SetDeadline(time.Now().Add(5 * time.Minute))
	r, answers := rand.New(rand.NewPCG(1, uint64(lines))), bufio.NewReader(c)
	const batch = 100
	before := uint64(0)
	for n := 0; n < lines; n += batch {
		var send bytes.Buffer
		var wants, sent [batch]string
		for i := range batch {
			sent[i], wants[i] = badLines(r)
			fmt.Fprintf(&send, "BEGIN %d\r\n%s\r\nEND\r\n", n+i, sent[i])
		}
		go c.Write(send.Bytes()) // an error is one of the answers, too
		for i := range batch {
			var got [3]string
			for k := range got {
				line, err := answers.ReadString('\n')
				if err != nil {
					t.Fatalf("line %d, %.200q: %q, %v", n+i, sent[i], got, err)
				}
				got[k] = line
			}
			if got[0] != fmt.Sprintf("BEGIN %d\r\n", n+i) || !strings.HasPrefix(got[1], wants[i]) || got[2] != "END\r\n" {
				t.Fatalf("line %d, %.200q: got %.300q, want %q", n+i, sent[i], got, wants[i])
			}
		}
		if n == 10*batch {
			runtime.GC()
			before = inUse()
		}
	}
	runtime.GC()
	if after := inUse(); after > before+memory {
		t.Errorf("%d KiB are in use, %d were", after>>10, before>>10)
	}
	if n := b.card.Counts().Commands; n != 0 {
		t.Errorf("%d commands have reached the card", n)
	}
	b.inStep(c)
}
