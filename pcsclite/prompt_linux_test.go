package pcsclite

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A prompt read is a read: of what is there or comes, now or late, to the end, to
// the deadline, and until the connection is closed.
func TestPrompt(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(t *testing.T, here, there net.Conn)
		want string
		err  error
	}{
		{"at once", func(t *testing.T, _, there net.Conn) { write(t, there, []byte("x")) }, "x", nil},
		{"soon", func(t *testing.T, _, there net.Conn) { later(t, promptTime/4, there) }, "x", nil},
		{"late", func(t *testing.T, _, there net.Conn) { later(t, 3*promptTime, there) }, "x", nil},
		{"end", func(_ *testing.T, _, there net.Conn) { there.Close() }, "", io.EOF},
		{"deadline", func(_ *testing.T, here, _ net.Conn) { here.SetDeadline(time.Now().Add(3 * promptTime)) }, "", os.ErrDeadlineExceeded},
		{"deadline at once", func(_ *testing.T, here, _ net.Conn) {
			time.AfterFunc(promptTime/4, func() { here.SetDeadline(time.Unix(1, 0)) })
		}, "", os.ErrDeadlineExceeded},
		{"closed", func(_ *testing.T, here, _ net.Conn) { time.AfterFunc(promptTime/4, func() { here.Close() }) }, "", net.ErrClosed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			here, there := socketPair(t)
			r := promptly(here)
			if _, ok := r.(*prompt); !ok {
				t.Fatalf("%T reads", r)
			}
			tt.do(t, here, there)
			b := make([]byte, 8)
			n, err := r.Read(b)
			if string(b[:n]) != tt.want || !errors.Is(err, tt.err) {
				t.Errorf("%q, %v; want %q, %v", b[:n], err, tt.want, tt.err)
			}
		})
	}
	if n := prompts.Load(); n != 0 {
		t.Errorf("%d still wait", n)
	}
}

func later(t *testing.T, d time.Duration, conn net.Conn) {
	time.AfterFunc(d, func() {
		if _, err := conn.Write([]byte("x")); err != nil {
			t.Error(err)
		}
	})
}

func socketPair(t *testing.T) (here, there net.Conn) {
	t.Helper()
	ln, err := net.Listen("unix", filepath.Join(t.TempDir(), "socket"))
	must(t, err)
	defer ln.Close()
	here, err = net.Dial("unix", ln.Addr().String())
	must(t, err)
	there, err = ln.Accept()
	must(t, err)
	t.Cleanup(func() { _, _ = here.Close(), there.Close() }) // some tests have closed them
	return here, there
}
