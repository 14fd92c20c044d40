package pcsclite

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// A call that is cut short leaves the connection in step, wherever in its answer
// it was.
func TestSettle(t *testing.T) {
	answer := func(rv Code, response string) []byte {
		m := transmitBody{RecvLen: uint32(len(response)), RV: uint32(rv)}
		return append(m.append(nil), response...)
	}
	long := answer(Success, string(make([]byte, 3000)))
	for _, tt := range []struct {
		name   string
		answer []byte
	}{{"short", answer(Success, "\x90\x00")}, {"long", long}, {"an error", answer(ENotTransacted, "")}} {
		for _, at := range []int{0, 1, transmitSize - 1, transmitSize, transmitSize + 1, 700, 2999} {
			if at >= len(tt.answer) {
				continue
			}
			synctest.Test(t, func(t *testing.T) {
				c, manager := onPipe(t)
				conn := &Connection{client: c}
				whole := make(chan struct{})
				go func() {
					takeTransmit(t, manager)
					write(t, manager, tt.answer[:at])
					<-whole
					write(t, manager, tt.answer[at:])
					takeTransmit(t, manager)
					write(t, manager, answer(Success, "next"))
				}()
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				_, err := conn.Transmit(ctx, []byte{0, 0xA4, 4, 0, 0})
				if !errors.Is(err, ErrUnsettled) || !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%s, cut at %d: %v, want %v and the end of its context", tt.name, at, err, ErrUnsettled)
				}
				if err := conn.Status(t.Context()); !errors.Is(err, ErrUnsettled) {
					t.Errorf("%s, cut at %d: a call behind it: %v, want %v", tt.name, at, err, ErrUnsettled)
				}
				soon, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				if err := c.Settle(soon); !errors.Is(err, ErrUnsettled) {
					t.Errorf("%s, cut at %d: Settle in vain: %v, want %v", tt.name, at, err, ErrUnsettled)
				}
				close(whole)
				must(t, c.Settle(t.Context()))
				if got, err := conn.Transmit(t.Context(), []byte{0, 0xB0, 0, 0, 0}); err != nil || string(got) != "next" {
					t.Errorf("%s, cut at %d: then %q, %v", tt.name, at, got, err)
				}
			})
		}
	}
}

// A call whose context is done already is not begun.
func TestCallThatIsNotBegun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, manager := onPipe(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := (&Connection{client: c}).Transmit(ctx, []byte{0, 0xA4, 4, 0, 0})
		if !errors.Is(err, context.Canceled) || errors.Is(err, ErrUnsettled) {
			t.Errorf("%v, want %v alone", err, context.Canceled)
		}
		must(t, c.Settle(t.Context()))
		go func() {
			takeTransmit(t, manager)
			write(t, manager, (&transmitBody{}).append(nil))
		}()
		_, err = (&Connection{client: c}).Transmit(t.Context(), []byte{0, 0xA4, 4, 0, 0})
		must(t, err)
	})
}

// A response that is longer than the protocol has is the end, of one that nobody
// waits for too.
func TestSettleBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, manager := onPipe(t)
		go func() {
			takeTransmit(t, manager)
			time.Sleep(time.Minute)
			write(t, manager, (&transmitBody{RecvLen: MaxTransfer + 1}).append(nil))
		}()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := (&Connection{client: c}).Transmit(ctx, []byte{0, 0xA4, 4, 0, 0})
		if !errors.Is(err, ErrUnsettled) {
			t.Fatal(err)
		}
		if err := c.Settle(t.Context()); !errors.Is(err, errMalformed) {
			t.Errorf("%v, want %v", err, errMalformed)
		}
	})
}

// A resource manager that goes is said to be gone.
func TestManagerGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, manager := onPipe(t)
		go func() {
			takeTransmit(t, manager)
			manager.Close()
		}()
		conn := &Connection{client: c}
		for range 2 {
			_, err := conn.Transmit(t.Context(), []byte{0, 0xA4, 4, 0, 0})
			wantCode(t, err, ENoService)
		}
	})
	_, err := Dial(within(t), t.TempDir()+"/nobody")
	wantCode(t, err, ENoService)
}

// Calls of one context set one alarm; another context sets its own.
func TestAlarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, manager := onPipe(t)
		go func() {
			for {
				if _, err := io.ReadFull(manager, make([]byte, headerSize+transmitSize+5)); err != nil {
					return // the test is over
				}
				write(t, manager, (&transmitBody{}).append(nil))
			}
		}()
		conn := &Connection{client: c}
		first, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		call := func(ctx context.Context) <-chan struct{} {
			t.Helper()
			_, err := conn.Transmit(ctx, []byte{0, 0xA4, 4, 0, 0})
			must(t, err)
			return c.alarm.fired
		}
		alarm := call(first)
		if call(first) != alarm || call(context.WithValue(first, t, t)) != alarm {
			t.Error("the second call of a context set another alarm")
		}
		second, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if call(second) == alarm || call(context.Background()) != nil {
			t.Error("another context has the alarm of the first")
		}
		call(first)
		time.Sleep(time.Minute) // the first is done, between two calls
		call(second)
		must(t, c.Close())
	})
}

func onPipe(t *testing.T) (*Client, net.Conn) {
	program, manager := net.Pipe()
	c := &Client{conn: program}
	t.Cleanup(func() { _, _ = c.Close(), manager.Close() }) // some tests have closed them
	return c, manager
}

// takeTransmit reads a request to transmit five bytes.
func takeTransmit(t *testing.T, conn net.Conn) {
	got := make([]byte, headerSize+transmitSize+5)
	if _, err := io.ReadFull(conn, got); err != nil || !bytes.Equal(got[:headerSize], appendHeader(nil, cmdTransmit)) {
		t.Errorf("request %X, %v", got, err)
	}
}

func write(t *testing.T, conn net.Conn, b []byte) {
	if _, err := conn.Write(b); err != nil {
		t.Error(err)
	}
}
