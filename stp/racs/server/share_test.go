package server_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloud-of-se/tses/access"
	"github.com/cloud-of-se/tses/drivers"
	"github.com/cloud-of-se/tses/grid"
	"github.com/cloud-of-se/tses/stp"
	"github.com/cloud-of-se/tses/stp/racs"
	"github.com/cloud-of-se/tses/stp/racs/server"
	"github.com/cloud-of-se/tses/stp/stptest"
)

// Who has all sessions of its share is told so in the answer to its first
// request, whatever it asks; others, and the administrator's reserve, are free.
func testShareOfSessions(t *testing.T) {
	b := newBench(t, stp.Limits{CredentialSessions: 2}, 0)
	first := b.Dial(b.cred)
	b.inStep(first)
	b.inStep(b.Dial(b.cred))
	const want = `-901 000 the credential "bad" has what there is, limits.credential_sessions = 2: `
	var refused sync.WaitGroup
	for _, tt := range []struct{ send, want string }{
		{"BEGIN x\r\nLIST\r\nEND\r\n", "BEGIN x\r\n" + want},
		{"\r\n \r\nBEGIN\r\nLIST\r\nEND\r\n", "BEGIN \r\n" + want},
		{"LIST\r\n", "BEGIN \r\n" + want},
		{"", "BEGIN \r\n" + want}, // who says nothing is told, too
	} {
		refused.Go(func() { // each waits for a place
			c := b.Dial(b.cred)
			if got := b.ask(c, tt.send); !strings.HasPrefix(got, tt.want) {
				t.Errorf("%q: got %q, want %q", tt.send, got, tt.want)
			}
			if rest, err := io.ReadAll(c); len(rest) > 0 || err != nil {
				t.Errorf("%q: then %q, %v; want close_notify", tt.send, rest, err)
			}
		})
	}
	refused.Wait()
	b.inStep(b.Dial(b.Credential("another", access.User)))
	// It gets in when one of its own goes while it waits.
	time.AfterFunc(100*time.Millisecond, func() { first.Close() })
	b.inStep(b.Dial(b.cred))
}

// The client program is told as of any other error.
func testShareOfSessionsToClient(t *testing.T) {
	ts := stptest.Start(t, stptest.Options{Handler: &server.Server{}, Limits: stp.Limits{CredentialSessions: 1}})
	conf := ts.TLS(ts.Credential("alice", access.User))
	client, err := racs.Dial(t.Context(), ts.Addr, conf, racs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	_, err = racs.Dial(t.Context(), ts.Addr, conf, racs.Options{})
	if status, ok := errors.AsType[racs.Status](err); !ok || !status.Failed(racs.SystemError, racs.Begin) {
		t.Errorf("a second session: %v", err)
	}
	// One that is ended learns why, though it has asked for nothing.
	if err := ts.Server.EndSession(ts.Server.Sessions()[0].ID, "carol"); err != nil {
		t.Fatal(err)
	}
	for err = nil; err == nil; _, err = client.Version(t.Context()) {
	}
	// One that was asking at that moment learns it in the answer.
	status, answered := errors.AsType[racs.Status](err)
	if !errors.Is(err, racs.ErrServerGone) && !(answered && status.Failed(racs.SystemError, racs.NoVerb)) || !strings.Contains(err.Error(), "the session was ended by carol") {
		t.Errorf("the session that was ended: %v", err)
	}
}

func testReserveOfSessions(t *testing.T) {
	b := newBench(t, stp.Limits{Sessions: 16}, 0) // one is the administrator's, one the neighbour's
	for i := range 14 {
		b.inStep(b.Dial(b.Credential(fmt.Sprint("user", i), access.User)))
	}
	if got, want := b.ask(b.Dial(b.cred), "LIST\r\n"), "BEGIN \r\n-901 000 all clients together have what there is, limits.sessions = 16: "; !strings.HasPrefix(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	b.inStep(b.Dial(b.Credential("admin", access.Administrative)))
}

// half sends most of a line that needs a buffer of 256 KiB, and waits until the
// server holds it.
func half(t *testing.T, c net.Conn) {
	t.Helper()
	if _, err := io.WriteString(c, "BEGIN a\r\nECHO "+strings.Repeat("e", 190<<10)); err != nil {
		t.Fatal(err)
	}
}

// sayLong tells how a line of 190 KB is answered.
func (b *bench) sayLong(c net.Conn) string {
	return b.ask(c, "BEGIN a\r\nECHO "+strings.Repeat("e", 190<<10)+"\r\nEND\r\n")
}

func TestShareOfBuffers(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		limits  stp.Limits
		holders int
		want    string
	}{
		{"of the credential", stp.Limits{CredentialBytes: 600 << 10}, 2, `the credential "bad" has what there is, limits.credential_bytes = 614400: `},
		{"of all", stp.Limits{Bytes: 4 << 20, CredentialBytes: 8 << 20}, 16, `all clients together have what there is, limits.buffer_bytes = 4194304: `},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, tt.limits, 0)
			c := b.Dial(b.cred)
			if got := b.sayLong(c); !strings.HasPrefix(got, "BEGIN a\r\n+009 001 eee") {
				t.Fatalf("alone: %.100q", got)
			}
			holders := make([]net.Conn, tt.holders)
			for i := range holders {
				holders[i] = b.Dial(b.cred)
				half(t, holders[i])
			}
			want := "BEGIN a\r\n-909 001 " + tt.want
			var got string
			var asks net.Conn
			for range 100 { // until what the holders have sent has arrived
				// One that has its buffers already could keep them.
				asks = b.Dial(b.cred)
				if got = b.sayLong(asks); strings.HasPrefix(got, want) {
					break
				}
				asks.Close()
				time.Sleep(20 * time.Millisecond)
			}
			if !strings.HasPrefix(got, want) {
				t.Fatalf("got %.200q, want %q", got, want)
			}
			b.inStep(asks)
			if got := b.sayLong(b.Dial(b.Credential("another", access.Administrative))); !strings.HasPrefix(got, "BEGIN a\r\n+009 001 eee") {
				t.Errorf("another: %.200q", got)
			}
			for _, h := range holders {
				h.Close()
			}
			for range 100 {
				if got = b.sayLong(c); strings.HasPrefix(got, "BEGIN a\r\n+009 001 eee") {
					return
				}
				time.Sleep(20 * time.Millisecond)
			}
			t.Errorf("what has ended is held: %.200q", got)
		})
	}
}

// An APDU whose answer the share has no room for is not executed.
func TestShareOfAnswers(t *testing.T) {
	b := newBench(t, stp.Limits{CredentialBytes: 400 << 10}, 0)
	c := b.Dial(b.cred)
	powerOn(t, c, "card")
	got := b.ask(c, "BEGIN a\r\n"+strings.Repeat("APDU card 80100000000000 APPEND\r\n", 6)+"END\r\n") // 131 KB each
	answers, executed := strings.Count(got, "\r\n+006 "), b.card.Counts().Commands
	if answers < 1 || answers > 3 || int64(answers) != executed {
		t.Errorf("%d results for %d APDUs that were executed", answers, executed)
	}
	if !strings.Contains(got, fmt.Sprintf("\r\n-906 %03d the credential \"bad\" has what there is", answers+1)) {
		t.Errorf("the error is missing: ...%q", got[max(0, len(got)-200):])
	}
	b.inStep(c)
	// What it had for the answer is free again.
	if got := b.sayLong(c); !strings.HasPrefix(got, "BEGIN a\r\n-909") && !strings.HasPrefix(got, "BEGIN a\r\n+009") {
		t.Errorf("got %.100q", got)
	}
}

func TestShareOfSEs(t *testing.T) {
	ses := make(map[string]drivers.SE)
	for i := range 3 {
		ses[fmt.Sprint("se", i)] = newInstant()
	}
	ts := stptest.Start(t, stptest.Options{SEs: ses, Handler: &server.Server{}, Limits: stp.Limits{CredentialSEs: 2}})
	b := &bench{TSES: ts, t: t, cred: ts.Credential("alice", access.User)}
	first, second := b.Dial(b.cred), b.Dial(b.cred)
	powerOn(t, first, "se0")
	powerOn(t, first, "se0") // again, which takes nothing
	powerOn(t, second, "se1")
	const want = "BEGIN \r\n-908 001 the credential \"alice\" has what there is, limits.credential_elements = 2: "
	if got := b.ask(second, "BEGIN\r\nPOWERON se2\r\nEND\r\n"); !strings.HasPrefix(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	powerOn(t, b.Dial(b.Credential("bob", access.User)), "se2")
	powerOff(t, first, "se0")
	powerOn(t, second, "se0")
	// One that was taken from it counts no more.
	if err := ts.Server.FreeSE(t.Context(), "se1", "carol"); err != nil {
		t.Fatal(err)
	}
	powerOn(t, first, "se1")
}

// Blank lines are no input: who sends nothing else is idle.
func testBlankLinesAreIdle(t *testing.T) {
	b := newBench(t, stp.Limits{Idle: shortIdle}, 0)
	c := b.Dial(b.cred)
	for start := time.Now(); time.Since(start) < 5*shortIdle; time.Sleep(20 * time.Millisecond) {
		if _, err := io.WriteString(c, "\r\n  \n\n"); err != nil {
			return
		}
	}
	t.Error("a client that sends blank lines is kept for ever")
}

// session finds a session of a credential.
func (b *bench) session(name string) stp.SessionInfo {
	b.t.Helper()
	for _, s := range b.Server.Sessions() {
		if s.Name == name {
			return s
		}
	}
	b.t.Fatalf("no session of %s in %+v", name, b.Server.Sessions())
	return stp.SessionInfo{}
}

func TestEndSession(t *testing.T) {
	const by = "the session was ended by carol"
	for _, tt := range []struct {
		name, send, want string
	}{
		{"between requests", "", "BEGIN \r\n-901 000 " + by + "\r\nEND\r\n"},
		{"in a request", "BEGIN a\r\nECHO x\r\n", "BEGIN a\r\n+009 001 x\r\n-900 002 " + by + "\r\nEND\r\n"},
		{"in an APDU", "BEGIN a\r\nAPDU card 80DD2710\r\n", "BEGIN a\r\n-906 001 " + by + "; card: transmit: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, stp.Limits{}, 0)
			c := b.Dial(b.cred)
			powerOn(t, c, "card")
			if _, err := io.WriteString(c, tt.send); err != nil {
				t.Fatal(err)
			}
			for strings.Contains(tt.send, "APDU") && b.card.Counts().Commands == 0 {
				time.Sleep(time.Millisecond)
			}
			info := b.session("bad")
			if info.From != c.LocalAddr().String() || len(info.SEs) != 1 || info.SEs[0] != "card" || time.Since(info.Since) > time.Minute {
				t.Errorf("listed as %+v", info)
			}
			if tt.name == "in a request" {
				time.Sleep(100 * time.Millisecond) // for the lines to arrive
			}
			if err := b.Server.EndSession(info.ID, "carol"); err != nil {
				t.Fatal(err)
			}
			c.SetReadDeadline(time.Now().Add(10 * time.Second))
			got, err := io.ReadAll(c)
			if !strings.HasPrefix(string(got), tt.want) || err != nil {
				t.Errorf("got %q, %v; want %q", got, err, tt.want)
			}
			if b.card.On() {
				t.Error("the card is on")
			}
			for begun := time.Now(); err == nil; time.Sleep(5 * time.Millisecond) { // it may be about to leave
				if err = b.Server.EndSession(info.ID, "carol"); time.Since(begun) > 10*time.Second {
					t.Fatal("the session stays")
				}
			}
			if !errors.Is(err, stp.ErrNoSession) {
				t.Errorf("again: %v", err)
			}
			b.free()
		})
	}
}

func TestFreeSE(t *testing.T) {
	b := newBench(t, stp.Limits{}, 0)
	c := b.Dial(b.cred)
	powerOn(t, c, "card")
	if err := b.Server.FreeSE(t.Context(), "card", "carol"); err != nil {
		t.Fatal(err)
	}
	if b.card.On() {
		t.Error("the card is on")
	}
	if got, want := b.ask(c, "BEGIN a\r\nAPDU card 00B0000001\r\nEND\r\n"), "BEGIN a\r\n-306 001 the SE was freed by carol: "; !strings.HasPrefix(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	other := b.Dial(b.Credential("other", access.User))
	powerOn(t, other, "card")
	if got, want := b.ask(c, "BEGIN a\r\nAPDU card 00B0000001\r\nEND\r\n"), "BEGIN a\r\n-706 001 "; !strings.HasPrefix(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	powerOff(t, other, "card")
	powerOn(t, c, "card")
	if got, want := b.ask(c, "BEGIN a\r\nAPDU card 00B0000001\r\nEND\r\n"), "BEGIN a\r\n+006 001 009000\r\nEND\r\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if err := b.Server.FreeSE(ctx, "nobody", "carol"); !errors.Is(err, grid.ErrUnknown) {
		t.Errorf("got %v", err)
	}
}
