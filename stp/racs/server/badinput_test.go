package server_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloud-of-se/tses/access"
	"github.com/cloud-of-se/tses/drivers"
	"github.com/cloud-of-se/tses/drivers/driverstest"
	"github.com/cloud-of-se/tses/stp"
	"github.com/cloud-of-se/tses/stp/racs"
	"github.com/cloud-of-se/tses/stp/racs/racstest"
	"github.com/cloud-of-se/tses/stp/racs/server"
	"github.com/cloud-of-se/tses/stp/stptest"
)

// bench is a server with one SE for the client that misbehaves and one for its
// neighbour, who must not notice.
type bench struct {
	*stptest.TSES
	t    *testing.T
	card *driverstest.Scripted // "card"
	cred tls.Certificate
}

func newBench(t *testing.T, limits stp.Limits, apduTime time.Duration) *bench {
	card := driverstest.NewScripted(driverstest.Options{})
	ts := stptest.Start(t, stptest.Options{
		SEs:     map[string]drivers.SE{"card": card, "se0": newInstant()},
		Handler: &server.Server{APDUTime: apduTime},
		Limits:  limits,
	})
	b := &bench{TSES: ts, t: t, card: card, cred: ts.Credential("bad", access.User, "card")}
	b.neighbour(ts.Credential("neighbour", access.User, "se0"))
	return b
}

// neighbour uses an SE without a pause until the test ends. Each of its APDUs
// must be answered, rightly and within seconds, however busy the machine is
// with other tests; the log says how many were and how soon.
func (b *bench) neighbour(cred tls.Certificate) {
	c := b.Dial(cred)
	powerOn(b.t, c, "se0")
	stop, rounds, worst := make(chan struct{}), 0, time.Duration(0)
	var wg sync.WaitGroup
	wg.Go(func() {
		answer := make([]byte, len(oneAnswer))
		for {
			select {
			case <-stop:
				return
			default:
			}
			start := time.Now()
			c.SetDeadline(start.Add(10 * time.Second))
			if _, err := io.WriteString(c, oneRequest); err != nil {
				b.t.Errorf("neighbour: %v", err)
				return
			}
			if _, err := io.ReadFull(c, answer); err != nil || string(answer) != oneAnswer {
				b.t.Errorf("neighbour: %q, %v", answer, err)
				return
			}
			rounds, worst = rounds+1, max(worst, time.Since(start))
		}
	})
	b.t.Cleanup(func() {
		close(stop)
		wg.Wait()
		b.t.Logf("beside it, a neighbour had %d APDUs answered, the slowest in %v", rounds, worst)
		if rounds == 0 {
			b.t.Error("the neighbour had nothing answered")
		}
	})
}

// ask sends and reads one answer.
func (b *bench) ask(c net.Conn, send string) string {
	b.t.Helper()
	sent := make(chan error, 1)
	go func() {
		_, err := io.WriteString(c, send)
		sent <- err
	}()
	got := racstest.ReadAnswer(b.t, c)
	if err := <-sent; err != nil {
		b.t.Fatalf("send: %v", err)
	}
	return got
}

// inStep shows that the next request is answered as if nothing had been.
func (b *bench) inStep(c net.Conn) {
	b.t.Helper()
	if got, want := b.ask(c, "BEGIN t\r\nECHO ok\r\nEND\r\n"), "BEGIN t\r\n+009 001 ok\r\nEND\r\n"; got != want {
		b.t.Errorf("out of step: got %q", got)
	}
}

func TestBadRequests(t *testing.T) {
	echo6000 := "80E0000000176A" + strings.Repeat("5A", 5994)
	tests := []struct {
		name string
		body string // the lines between BEGIN and END
		want string // how the answer's last line begins
	}{
		{"12,000 hex digits of an APDU", "APDU card " + echo6000, "+006 002 5A5A5A"},
		{"12,000 hex digits of none", "APDU card " + strings.Repeat("F", 12000), "-506 002 malformed APDU"},
		{"the longest APDU", "APDU card 80E0000000FFFF" + strings.Repeat("5A", 65535) + "0000", "+006 002 5A5A5A"},
		{"200,000 hex digits", "APDU card " + strings.Repeat("F", 200000), "-506 002 the line is longer"},
		{"an odd number of digits", "APDU card 00A40", "-506 002"},
		{"RAW twice", "APDU card 00A40400 RAW RAW", `-506 002 option "RAW"`},
		{"RAW with a value", "APDU card 00A40400 RAW=1", `-506 002 option "RAW=1"`},
		{"RAW in lower case", "APDU card 00A40400 raw", `-406 002 option "raw"`},
		{"RAW with MORE", "APDU card 00A40400 RAW MORE=61", "-506 002 RAW is the answer as it came"},
		{"FETCH with RAW", "APDU card 00A40400 FETCH=00C00000 RAW", "-506 002 RAW is the answer as it came"},
		{"10,000 tokens to APDU", "APDU card 00A40400" + strings.Repeat(" x", 10000), `-406 002 option "x"`},
		{"10,000 tokens to LIST", "LIST" + strings.Repeat(" x", 10000), "+004 002 card"},
		{"10,000 tokens to ECHO", "ECHO" + strings.Repeat(" x", 10000), "+009 002 x x x"},
		{"10,000 tokens to POWERON", "POWERON" + strings.Repeat(" x", 10000), "-408 002"},
		{"10,000 tokens to RESET", "RESET" + strings.Repeat(" x", 10000), "-405 002"},
		{"10,000 tokens of an unknown command", "FOO" + strings.Repeat(" x", 10000), "-100 002"},
		{"NUL", "ECHO a\x00b", "-509 002 control bytes"},
		{"NUL in the verb", "EC\x00HO a", "-500 002 control bytes"},
		{"an escape sequence", "APDU card 00A40400\x1b[2J", "-506 002 control bytes"},
		{"a bare CR", "ECHO a\rECHO b", "-509 002 control bytes"},
		{"DEL", "LIST \x7f", "-504 002 control bytes"},
		{"a tab", "ECHO\ta", "-500 002 control bytes"},
		{"a SEID of 100,000 bytes", "APDU " + strings.Repeat("s", 100000) + " 00A40400", "-406 002"},
		{"format verbs", "APDU %s%d%n 00A40400", "-406 002"},
	}
	b := newBench(t, stp.Limits{}, 0)
	c := b.Dial(b.cred)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := &bench{TSES: b.TSES, t: t, card: b.card}
			got := b.ask(c, "BEGIN a\r\nPOWERON card\r\n"+tt.body+"\r\nEND\r\n")
			if want := "BEGIN a\r\n" + tt.want; !strings.HasPrefix(got, want) {
				t.Errorf("got %.200q, want %q", got, want)
			}
			b.inStep(c)
		})
	}
}

func TestLineWithoutEnd(t *testing.T) {
	b := newBench(t, stp.Limits{}, 0)
	c := b.Dial(b.cred)
	// The answer is there before the line has ended.
	got := b.ask(c, "BEGIN a\r\nECHO "+strings.Repeat("e", 1<<20))
	if want := "BEGIN a\r\n-509 001 the line is longer"; !strings.HasPrefix(got, want) {
		t.Errorf("got %.200q, want %q", got, want)
	}
	io.WriteString(c, strings.Repeat("e", 1<<20)+"\r\nEND\r\n")
	b.inStep(c)

	got = b.ask(c, strings.Repeat("x", 1<<20))
	if want := "BEGIN \r\n-300 000 "; !strings.HasPrefix(got, want) {
		t.Errorf("outside of a request: got %.200q, want %q", got, want)
	}
}

func TestTooManyCommands(t *testing.T) {
	b := newBench(t, stp.Limits{}, 0)
	c := b.Dial(b.cred)
	got := b.ask(c, "BEGIN a\r\n"+strings.Repeat("ECHO x\r\n", racs.MaxCommands)+"END\r\n")
	if want := "BEGIN a\r\n+009 4096 x\r\nEND\r\n"; got != want {
		t.Errorf("4,096 commands: got %q, want %q", got, want)
	}
	got = b.ask(c, "BEGIN a\r\n"+strings.Repeat("ECHO x\r\n", racs.MaxCommands)+"POWERON card\r\nEND\r\n")
	if want := "BEGIN a\r\n-908 4097 "; !strings.HasPrefix(got, want) {
		t.Errorf("4,097 commands: got %q, want %q", got, want)
	}
	if n := b.card.Counts().PowerOns; n != 0 {
		t.Errorf("the command past the limit was executed")
	}
	b.inStep(c)
}

func TestAnswerTooLong(t *testing.T) {
	b := newBench(t, stp.Limits{}, 0)
	c := b.Dial(b.cred)
	long := "APDU card 80100000000000 APPEND\r\n" // Le 0000: 65,536 bytes
	got := b.ask(c, "BEGIN a\r\nPOWERON card\r\n"+strings.Repeat(long, 9)+"END\r\n")
	answers, executed := strings.Count(got, "\r\n+006 "), b.card.Counts().Commands
	if len(got) > racs.MaxAnswer || answers < 6 || int64(answers) != executed {
		t.Errorf("answer of %d bytes, %d results for %d APDUs that were executed", len(got), answers, executed)
	}
	if !strings.Contains(got, fmt.Sprintf("\r\n-906 %03d not executed", answers+2)) {
		t.Errorf("the error is missing: ...%q", got[max(0, len(got)-200):])
	}
	b.inStep(c)
}

func TestInsatiableCards(t *testing.T) {
	tests := []struct {
		name     string
		fault    driverstest.Fault
		apdu     string
		want     string
		commands int64 // that may reach the card at the most
	}{
		{"always 61XX", driverstest.Always61, "00B0000000 MORE=61", "-806 002 ", 257},
		{"always 61XX, not asked for more", driverstest.Always61, "00B0000000", "+006 002 ", 1},
		{"always 6CXX", driverstest.Always6C, "00B0000010", "+006 002 6C", 2},
		{"always 6CXX, RAW", driverstest.Always6C, "00B0000010 RAW", "+006 002 6C11", 1},
		{"always 6CXX, case 4", driverstest.Always6C, "00B00000010010", "+006 002 6C", 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, stp.Limits{}, 0)
			c := b.Dial(b.cred)
			powerOn(t, c, "card")
			b.card.SetFault(tt.fault)
			got := b.ask(c, "BEGIN a\r\nLIST\r\nAPDU card "+tt.apdu+"\r\nEND\r\n")
			if !strings.HasPrefix(got, "BEGIN a\r\n"+tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if n := b.card.Counts().Commands; n > tt.commands {
				t.Errorf("%d commands reached the card, want at most %d", n, tt.commands)
			}
			b.card.SetFault(driverstest.Healthy)
			b.inStep(c)
		})
	}
}

// free waits until the card belongs to nobody and is off.
func (b *bench) free() {
	b.t.Helper()
	for start := time.Now(); b.card.On(); time.Sleep(5 * time.Millisecond) {
		if time.Since(start) > 10*time.Second {
			b.t.Fatal("the card is still on")
		}
	}
	c := b.Dial(b.cred)
	powerOn(b.t, c, "card")
	powerOff(b.t, c, "card")
	c.Close()
}

func TestClientNeverReads(t *testing.T) {
	t.Parallel()
	b := newBench(t, stp.Limits{Write: 300 * time.Millisecond}, 0)
	c := b.Dial(b.cred)
	powerOn(t, c, "card")
	c.SetDeadline(time.Now().Add(20 * time.Second))
	request := "BEGIN a\r\nECHO " + strings.Repeat("e", 100000) + "\r\nEND\r\n"
	for {
		if _, err := io.WriteString(c, request); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatal("the server took everything and ended nothing")
			}
			break // the server has closed the connection
		}
	}
	b.free()
}

// shortIdle is short for a client that is idle, and long for a neighbour that
// is not: a loaded machine can keep one waiting for a second.
const shortIdle = 3 * time.Second

func testClientNeverSends(t *testing.T) {
	b := newBench(t, stp.Limits{Idle: shortIdle}, 0)
	tests := []struct{ name, send string }{
		{"nothing at all", ""},
		{"half a line", "BEGIN"},
		{"half a request", "BEGIN a\r\nECHO x\r\n"},
	}
	holder := b.Dial(b.cred) // has the card, and says nothing more
	powerOn(t, holder, "card")
	conns := []net.Conn{holder}
	for _, tt := range tests {
		c := b.Dial(b.cred)
		io.WriteString(c, tt.send)
		conns = append(conns, c)
	}
	for i, c := range conns {
		c.SetReadDeadline(time.Now().Add(3 * shortIdle))
		if rest, err := io.ReadAll(c); len(rest) > 0 || err != nil {
			t.Errorf("client %d: got %q, %v; want close_notify", i, rest, err)
		}
	}
	b.free()
}

// testTrickle: bytes that complete no line do not prolong the idle time.
func testTrickle(t *testing.T) {
	b := newBench(t, stp.Limits{Idle: shortIdle}, 0)
	c := b.Dial(b.cred)
	for start := time.Now(); time.Since(start) < 5*shortIdle; time.Sleep(20 * time.Millisecond) {
		if _, err := io.WriteString(c, "B"); err != nil {
			return
		}
	}
	t.Error("a client that completes no line is kept for ever")
}

func TestClientStopsInHandshake(t *testing.T) {
	t.Parallel()
	b := newBench(t, stp.Limits{Handshake: 300 * time.Millisecond}, 0)
	hello := "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" // a ClientHello that breaks off
	for _, send := range []string{"", "\x16", hello} {
		c, err := net.Dial("tcp", b.Addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		io.WriteString(c, send)
		c.SetReadDeadline(time.Now().Add(5 * time.Second))
		if _, err := io.ReadAll(c); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("after %q the server waits for ever", send)
		}
	}
}

func TestClientVanishesInAPDU(t *testing.T) {
	b := newBench(t, stp.Limits{}, 0)
	raw, err := net.Dial("tcp", b.Addr)
	if err != nil {
		t.Fatal(err)
	}
	c := tls.Client(raw, b.TLS(b.cred))
	powerOn(t, c, "card")
	io.WriteString(c, "BEGIN a\r\nAPDU card 80DD00C8\r\nAPDU card 00B0000001\r\nEND\r\n") // 200 ms
	for b.card.Counts().Commands == 0 {
		time.Sleep(time.Millisecond)
	}
	raw.(*net.TCPConn).SetLinger(0) // a reset, as of a host that has gone
	raw.Close()
	b.free()
}

// TestMuteChip: the time for an APDU ends, the session goes on.
func TestMuteChip(t *testing.T) {
	t.Parallel()
	b := newBench(t, stp.Limits{}, 200*time.Millisecond)
	c := b.Dial(b.cred)
	powerOn(t, c, "card")
	b.card.SetFault(driverstest.Hang)
	got := b.ask(c, "BEGIN a\r\nAPDU card 00B0000001\r\nEND\r\n")
	if !strings.HasPrefix(got, "BEGIN a\r\n-806 001 ") || !strings.Contains(got, "may have been executed") {
		t.Errorf("got %q", got)
	}
	b.card.SetFault(driverstest.Healthy)
	got = b.ask(c, "BEGIN a\r\nRESET card\r\nAPDU card 00B0000001\r\nEND\r\n")
	if want := "BEGIN a\r\n+006 002 009000\r\nEND\r\n"; got != want {
		t.Errorf("after RESET: got %q, want %q", got, want)
	}
}

func TestHalfOpenConnections(t *testing.T) {
	const n = 500
	b := newBench(t, stp.Limits{Handshake: 2 * time.Second, Handshakes: 300}, 0)
	goroutines := runtime.NumGoroutine()
	conns := make([]net.Conn, n)
	for i := range conns {
		c, err := net.Dial("tcp", b.Addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		conns[i] = c
	}
	// While they are open, and are more than the limit, others get in.
	for range 5 {
		c := b.Dial(b.cred)
		b.inStep(c)
		c.Close()
	}
	for i, c := range conns {
		c.SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, err := io.ReadAll(c); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("connection %d stays open", i)
		}
	}
	for start := time.Now(); runtime.NumGoroutine() > goroutines+10; time.Sleep(10 * time.Millisecond) {
		if time.Since(start) > 5*time.Second {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), goroutines)
		}
	}
}
