package journal

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// stopped takes what it is given when it is told to.
type stopped struct{ taken chan string }

func (s stopped) Write(p []byte) (int, error) {
	s.taken <- string(p)
	return len(p), nil
}

// Nobody waits for who does not read. Where lines are missing it says how many.
func TestStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := stopped{make(chan string)}
		j := New(w, Options{Room: 100})
		fmt.Fprintln(j, "first")
		synctest.Wait() // it is being written, and stays so
		for i := range 1000 {
			if n, err := fmt.Fprintf(j, "line %04d\n", i); n != 10 || err != nil {
				t.Fatal(n, err)
			}
		}
		if j.Flush(time.Second) {
			t.Error("what is being written is written")
		}
		if got := <-w.taken; got != "first\n" {
			t.Errorf("first %q", got)
		}
		got := <-w.taken
		if !strings.HasPrefix(got, "line 0000\n") || strings.Count(got, "line 0") != 10 ||
			!strings.HasSuffix(got, `level=WARN msg="lines of the log are lost here: they were not taken in time" number=990`+"\n") {
			t.Errorf("then %q", got)
		}
		fmt.Fprintln(j, "last")
		go func() { <-w.taken }()
		if !j.Flush(time.Second) {
			t.Error("it is not flushed")
		}
		fmt.Fprintln(j, "stuck")
		began := time.Now()
		if err := j.Close(2 * time.Second); !errors.Is(err, ErrStuck) || time.Since(began) != 2*time.Second {
			t.Errorf("Close: %v after %v", err, time.Since(began))
		}
		<-w.taken
		if err := j.Close(time.Second); err != nil {
			t.Errorf("Close again: %v", err)
		}
	})
}

// What cannot be written is counted, and said when it can.
func TestFailing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text strings.Builder
		var fails error
		ended := errors.New("the end")
		j := New(writer(func(p []byte) (int, error) {
			if fails == nil {
				text.Write(p)
			}
			return len(p), fails
		}), Options{Lost: func(n int) string { return fmt.Sprintf("%d lost\n", n) }, End: func() error { return ended }})
		fmt.Fprint(j, "one\ntwo\n")
		synctest.Wait()
		fails = io.ErrClosedPipe
		for range 3 {
			fmt.Fprint(j, "lost\n")
			synctest.Wait()
		}
		if j.Flush(time.Second) {
			t.Error("flushed into nothing")
		}
		fails = nil
		fmt.Fprint(j, "lost, too\n") // what finds out that it can be written again
		synctest.Wait()
		fmt.Fprint(j, "three\n")
		if err := j.Close(time.Second); !errors.Is(err, ended) {
			t.Errorf("Close: %v", err)
		}
		if want := "one\ntwo\n4 lost\nthree\n"; text.String() != want {
			t.Errorf("got %q, want %q", text.String(), want)
		}
	})
}

type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

// A pipe that is full, which is what a server has.
func TestFullPipe(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	j := New(w, Options{})
	line := strings.Repeat("x", 99) + "\n"
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 10_000 { // 4 MB
				fmt.Fprint(j, line)
			}
		})
	}
	all.Wait()
	if err := j.Close(10 * time.Millisecond); !errors.Is(err, ErrStuck) {
		t.Errorf("Close: %v", err)
	}
	r.Close() // ends the write
	if err := j.Close(time.Minute); err != nil {
		t.Error(err)
	}
}

func TestBound(t *testing.T) {
	var text strings.Builder
	log := slog.New(NewHandler(&text))
	long := strings.Repeat("n", 60<<10)
	for _, tt := range []struct {
		name string
		with []any
		want string
	}{
		{"a short one", []any{"client", "alice", "n", 3, "for", time.Second, "at", netip.MustParseAddr("::1")}, "client=alice n=3 for=1s at=::1\n"},
		{"a name", []any{"client", long}, `n … 60416 bytes more"`},
		{"an error", []any{"err", fmt.Errorf("credential %q", long)}, `n … 60429 bytes more"`},
		{"a list", []any{"seids", []string{long, long}}, `n … 121859 bytes more"`},
		{"a group", []any{slog.Group("of", "client", long)}, `of.client="nnn`},
		{"no error", []any{"err", nil}, "err=<nil>\n"},
		{"an escape", []any{"client", "a\x1b[2J\u202e"}, `client="a\x1b[2J\u202e"`},
	} {
		text.Reset()
		log.With(tt.with...).Info("m")
		got := text.String()
		text.Reset()
		log.Info("m", tt.with...)
		for _, got := range []string{got, text.String()} {
			if !strings.Contains(got, tt.want) || len(got) > 2*maxValue {
				t.Errorf("%s: %d bytes, %.200q, want %q", tt.name, len(got), got, tt.want)
			}
		}
	}
	text.Reset()
	log.Info(long)
	if text.Len() > 2*maxValue {
		t.Errorf("a message of %d bytes", text.Len())
	}
}
