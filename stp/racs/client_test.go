package racs_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloud-of-se/tses/stp/racs"
)

func TestDoReturnsResultsAndStatus(t *testing.T) {
	client, server := newFake(t, racs.Options{})
	go server.answer("+008 001 on", "-406 002 no such SEID")
	resp, err := client.Do(t.Context(), racs.NewRequest("r1").PowerOn("a").Keep().APDU("b", selectMF, racs.APDUOptions{}))
	status, ok := errors.AsType[racs.Status](err)
	if !ok || !status.Failed(racs.NotSupported, racs.APDU) || status.Line != 2 || status.Text != "no such SEID" {
		t.Errorf("got error %v, want -406 002", err)
	}
	if resp == nil || resp.Name != "r1" || len(resp.Statuses) != 2 || resp.Statuses[0].Text != "on" {
		t.Errorf("got %+v, want both results", resp)
	}
}

func TestAnswersInAnyPieces(t *testing.T) {
	client, server := newFake(t, racs.Options{})
	go func() {
		for range 20 {
			name, _ := server.request()
			for wire := []byte("BEGIN " + name + "\r\n+009 001 hello\r\nEND\r\n"); len(wire) > 0; {
				n := 1 + rand.IntN(len(wire))
				server.send("%s", wire[:n])
				wire = wire[n:]
			}
		}
	}()
	for range 20 {
		if got, err := client.Echo(t.Context(), "hello"); err != nil || got != "hello" {
			t.Fatalf("got %q, %v", got, err)
		}
	}
}

// A server that answers only after it has read several requests shows that
// they go out before the answers come.
func TestRequestsArePipelined(t *testing.T) {
	const together = 10
	client, server := newFake(t, racs.Options{InFlight: together})
	go func() {
		var answers strings.Builder
		for range together {
			name, commands := server.request()
			fmt.Fprintf(&answers, "BEGIN %s\r\n+009 001 %s\r\nEND\r\n", name, strings.TrimPrefix(commands[0], "ECHO "))
		}
		server.send("%s", answers.String())
	}()
	var calls sync.WaitGroup
	for i := range together {
		calls.Go(func() {
			word := fmt.Sprint("word", i)
			if got, err := client.Echo(t.Context(), word); err != nil || got != word {
				t.Errorf("got %q, %v, want %q", got, err, word)
			}
		})
	}
	calls.Wait()
}

func TestManyGoroutinesGetTheirOwnAnswers(t *testing.T) {
	client, server := newFake(t, racs.Options{InFlight: 8})
	const goroutines, each = 100, 20
	go func() {
		for range goroutines * each {
			name, commands := server.request()
			server.send("BEGIN %s\r\n+009 001 %s\r\nEND\r\n", name, strings.TrimPrefix(commands[0], "ECHO "))
		}
	}()
	var calls sync.WaitGroup
	for g := range goroutines {
		calls.Go(func() {
			for i := range each {
				word := fmt.Sprintf("%d-%d", g, i)
				// All requests have one name: only their order tells them apart.
				resp, err := client.Do(t.Context(), racs.NewRequest("same").Echo(word))
				if err != nil || resp.Statuses[0].Text != word {
					t.Errorf("got %v, %v, want %q", resp, err, word)
				}
			}
		})
	}
	calls.Wait()
}

func TestCancelledCallLeavesTheSessionInStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := newFake(t, racs.Options{})
		go func() {
			name, _ := server.request()
			time.Sleep(10 * time.Second)
			server.send("BEGIN %s\r\n+009 001 late\r\nEND\r\n", name)
			server.answer("+009 001 next")
		}()
		start := time.Now()
		_, err := client.Echo(shortly(t, 3*time.Second), "late")
		if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, racs.ErrOutcomeUnknown) {
			t.Errorf("got %v, want the deadline and ErrOutcomeUnknown", err)
		}
		if took := time.Since(start); took != 3*time.Second {
			t.Errorf("the call returned after %v, want 3s", took)
		}
		if got, err := client.Echo(t.Context(), "next"); err != nil || got != "next" {
			t.Errorf("the call after the cancelled one: %q, %v", got, err)
		}
	})
}

func TestRequestTimeoutIsTheDefault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := newFake(t, racs.Options{})
		go server.request()
		start := time.Now()
		_, err := client.List(t.Context())
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 60*time.Second {
			t.Errorf("got %v after %v, want the deadline after 60s", err, time.Since(start))
		}
	})
}

func TestUnsentCallIsTakenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := newFake(t, racs.Options{})
		go client.Echo(t.Context(), "first") // the pipe takes it when the server reads
		synctest.Wait()
		_, err := client.Echo(shortly(t, time.Second), "second")
		if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, racs.ErrOutcomeUnknown) {
			t.Errorf("got %v, want a deadline and a known outcome: it was not sent", err)
		}
		if got := server.answer("+009 001 first"); got[0] != "ECHO first" {
			t.Errorf("the server got %q", got)
		}
		done := make(chan []string, 1)
		go func() { done <- server.answer("+009 001 third") }()
		if _, err := client.Echo(t.Context(), "third"); err != nil {
			t.Error(err)
		}
		if got := <-done; got[0] != "ECHO third" {
			t.Errorf("the server got %q after the first, want ECHO third", got)
		}
	})
}

func TestInFlightIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := newFake(t, racs.Options{InFlight: 2})
		go func() {
			server.request()
			server.request()
		}()
		for range 2 {
			go client.List(shortly(t, time.Minute))
		}
		synctest.Wait()
		_, err := client.List(shortly(t, time.Second))
		if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, racs.ErrOutcomeUnknown) || !strings.Contains(err.Error(), "2 requests wait") {
			t.Errorf("got %v, want a deadline that says that 2 requests wait", err)
		}
	})
}

func TestServerGoes(t *testing.T) {
	tests := []struct {
		name    string
		answer  string
		wants   error
		says    string
		unknown bool
	}{
		{"before the answer", "", racs.ErrServerGone, "closed the connection", true},
		{"within the answer", "BEGIN 1\r\n+009 0", racs.ErrServerGone, "within an answer", true},
		{"with garbage", "HTTP/1.1 400 Bad Request\r\n", racs.ErrNotRACS, "HTTP/1.1 400", true},
		{"with an endless line", "BEGIN 1\r\n" + strings.Repeat("+", 2<<20), racs.ErrNotRACS, "more than", true},
		{"out of step", "BEGIN 7\r\nEND\r\n", racs.ErrNotRACS, `"7" for request "1"`, true},
		{"with an empty answer", "BEGIN 1\r\nEND\r\n", racs.ErrNotRACS, "lacks the result", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			client, server := newFake(t, racs.Options{})
			go func() {
				server.request()
				// A client that gives up within a long answer ends this write.
				_, _ = io.WriteString(server.conn, test.answer)
				server.conn.Close()
			}()
			_, err := client.Echo(t.Context(), "x")
			if !errors.Is(err, test.wants) || !strings.Contains(err.Error(), test.says) || errors.Is(err, racs.ErrOutcomeUnknown) != test.unknown {
				t.Errorf("got %v, want %v that says %q, unknown: %v", err, test.wants, test.says, test.unknown)
			}
			_, err = client.Echo(t.Context(), "y")
			if err == nil || test.unknown && errors.Is(err, racs.ErrOutcomeUnknown) {
				t.Errorf("a call after the end: %v, want an error with a known outcome", err)
			}
		})
	}
}

func TestUnaskedAnswerEndsTheSession(t *testing.T) {
	client, server := newFake(t, racs.Options{})
	server.send("BEGIN \r\nEND\r\n")
	server.conn.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := server.conn.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the client's connection: %v, want it closed", err)
	}
	if _, err := client.List(t.Context()); !errors.Is(err, racs.ErrNotRACS) {
		t.Errorf("got %v, want ErrNotRACS", err)
	}
}

func TestServerThatDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, _ := newFake(t, racs.Options{WriteTimeout: 5 * time.Second})
		start := time.Now()
		_, err := client.List(t.Context())
		if !errors.Is(err, racs.ErrServerGone) || !errors.Is(err, racs.ErrOutcomeUnknown) || time.Since(start) != 5*time.Second {
			t.Errorf("got %v after %v, want ErrServerGone after 5s", err, time.Since(start))
		}
	})
}

// A server that refuses a credential sends an alert and closes: the client may
// be writing by then. What it said counts, not that nothing can be written.
func TestServersReasonCountsMoreThanTheFailedWrite(t *testing.T) {
	for _, test := range []struct {
		name string
		said error
		want error
		took time.Duration
	}{
		{"an alert", &racs.HandshakeError{Reason: racs.CredentialRevoked}, racs.ErrNotLetIn, 100 * time.Millisecond},
		{"nothing", nil, syscall.EPIPE, time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := racs.NewClient(&brokenConn{said: test.said, deadline: make(chan time.Time, 1)}, racs.Options{})
				defer client.Close()
				start := time.Now()
				_, err := client.List(t.Context())
				if !errors.Is(err, test.want) || time.Since(start) != test.took {
					t.Errorf("got %v after %v, want %v after %v", err, time.Since(start), test.want, test.took)
				}
			})
		})
	}
}

// brokenConn cannot be written to. It says something a little later, or
// nothing until the read deadline.
type brokenConn struct {
	net.Conn
	said     error
	deadline chan time.Time
}

func (c *brokenConn) Write([]byte) (int, error)        { return 0, syscall.EPIPE }
func (c *brokenConn) SetWriteDeadline(time.Time) error { return nil }
func (c *brokenConn) Close() error                     { return nil }

func (c *brokenConn) SetReadDeadline(at time.Time) error {
	c.deadline <- at
	return nil
}

func (c *brokenConn) Read([]byte) (int, error) {
	at := <-c.deadline
	if c.said != nil {
		time.Sleep(100 * time.Millisecond)
		return 0, c.said
	}
	time.Sleep(time.Until(at))
	return 0, os.ErrDeadlineExceeded
}

func TestCloseEndsCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := newFake(t, racs.Options{})
		failed := make(chan error, 1)
		go func() {
			_, err := client.List(t.Context())
			failed <- err
		}()
		server.request()
		synctest.Wait()
		if err := client.Close(); err != nil {
			t.Error(err)
		}
		if err := <-failed; !errors.Is(err, racs.ErrClosed) || !errors.Is(err, racs.ErrOutcomeUnknown) {
			t.Errorf("the call that waited: %v, want ErrClosed and ErrOutcomeUnknown", err)
		}
		if _, err := client.List(t.Context()); !errors.Is(err, racs.ErrClosed) {
			t.Errorf("a later call: %v, want ErrClosed", err)
		}
	})
}

func TestQuit(t *testing.T) {
	client, server := newFake(t, racs.Options{})
	go func() {
		if got := server.answer("+012 001"); got[0] != "QUIT" {
			t.Errorf("the server got %q", got)
		}
		server.conn.Close()
	}()
	if err := client.Quit(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestRequestCanBeSentAgain(t *testing.T) {
	client, server := newFake(t, racs.Options{})
	go func() {
		server.answer("+009 001 x")
		server.answer("+009 001 x", "+012 002")
	}()
	request := racs.NewRequest("r").Echo("x")
	if _, err := client.Do(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	if resp, err := client.Do(t.Context(), request.Keep().Quit()); err != nil || len(resp.Statuses) != 2 {
		t.Errorf("got %v, %v", resp, err)
	}
}

func TestBadRequestIsNotSent(t *testing.T) {
	client := racs.NewClient(deafConn{}, racs.Options{})
	defer client.Close()
	if _, err := client.PowerOn(t.Context(), "a b"); !errors.Is(err, racs.ErrRequest) {
		t.Errorf("got %v, want ErrRequest", err)
	}
}

// deafConn is a connection of which nothing may be used but Read, which ends it.
type deafConn struct{ net.Conn }

func (deafConn) Read([]byte) (int, error) { return 0, io.EOF }
func (deafConn) Close() error             { return nil }
