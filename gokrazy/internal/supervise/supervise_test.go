//go:build unix

package supervise

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// role tells the test program to be a daemon.
const role = "TSES_TEST_DAEMON"

func TestMain(m *testing.M) {
	if r := os.Getenv(role); r != "" {
		daemon(r)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// daemon behaves as its role says.
func daemon(role string) {
	fd, err := strconv.Atoi(os.Getenv(HeartbeatEnv))
	if err != nil {
		os.Exit(9)
	}
	beats := os.NewFile(uintptr(fd), "heartbeat")
	beat := func(n int) {
		for range n {
			beats.Write([]byte{1})
			time.Sleep(20 * time.Millisecond)
		}
	}
	switch role {
	case "crash":
		beat(1)
		os.Exit(3)
	case "hang":
		signal.Ignore(syscall.SIGTERM)
		beat(3)
		time.Sleep(time.Hour)
	case "mute":
		time.Sleep(time.Hour)
	case "closes":
		beats.Close()
		time.Sleep(time.Hour)
	case "well":
		stop := make(chan os.Signal, 1)
		signal.Notify(stop, syscall.SIGTERM)
		fmt.Println("serving")
		for {
			select {
			case <-stop:
				fmt.Println("drained")
				return
			default:
				beat(1)
			}
		}
	}
}

type log struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func newDaemon(t *testing.T, role string) (*Daemon, *log) {
	l := new(log)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return &Daemon{
		Path: exe, Env: []string{"TSES_TEST_DAEMON=" + role}, Output: l, Log: slog.New(slog.NewTextHandler(l, nil)),
		Grace: 3 * time.Second, Silence: 500 * time.Millisecond, Drain: 2 * time.Second, First: 10 * time.Millisecond, Most: 100 * time.Millisecond,
	}, l
}

// runUntil runs the daemon until the condition holds and returns when Run has.
func runUntil(t *testing.T, d *Daemon, l *log, what string, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		d.Run(ctx)
	}()
	defer func() {
		cancel()
		select {
		case <-ended:
		case <-time.After(20 * time.Second):
			t.Fatal("Run does not end")
		}
	}()
	for start := time.Now(); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Since(start) > 20*time.Second {
			t.Fatalf("%s: not within 20 s; the log:\n%s", what, l)
		}
	}
}

func TestCrash(t *testing.T) {
	d, l := newDaemon(t, "crash")
	runUntil(t, d, l, "starts again", func() bool { return d.Starts() >= 4 })
	if got := l.String(); !strings.Contains(got, "exit status 3") || !strings.Contains(got, `"next start in"=10ms`) || !strings.Contains(got, `"next start in"=40ms`) {
		t.Errorf("the log does not tell of crashes and longer pauses:\n%s", got)
	}
}

func TestHang(t *testing.T) {
	for _, tt := range []struct{ role, want string }{
		{"hang", "no heartbeat for 500ms"},
		{"mute", "no heartbeat for 700ms"},
		{"closes", "no heartbeat for 700ms"},
	} {
		t.Run(tt.role, func(t *testing.T) {
			d, l := newDaemon(t, tt.role)
			if tt.role != "hang" {
				d.Grace = 700 * time.Millisecond
			}
			runUntil(t, d, l, "ends and starts again", func() bool { return d.Starts() >= 2 })
			if got := l.String(); !strings.Contains(got, tt.want) {
				t.Errorf("the log does not say %q:\n%s", tt.want, got)
			}
		})
	}
}

func TestWell(t *testing.T) {
	d, l := newDaemon(t, "well")
	runUntil(t, d, l, "is healthy", d.Healthy)
	if got := l.String(); d.Starts() != 1 || !strings.Contains(got, "serving") || !strings.Contains(got, "drained") {
		t.Errorf("%d starts; the log:\n%s", d.Starts(), got)
	}
}

func TestMissingProgram(t *testing.T) {
	d, l := newDaemon(t, "")
	d.Path = "/nonexistent"
	runUntil(t, d, l, "tries again", func() bool { return d.Starts() >= 3 })
	if d.Healthy() {
		t.Error("a daemon that cannot be started is healthy")
	}
}

// One that has crashed is not well until it is started again, however lately it
// was.
func TestUnwellInThePause(t *testing.T) {
	d, l := newDaemon(t, "crash")
	d.Silence, d.First, d.Most = time.Hour, 300*time.Millisecond, time.Second
	runUntil(t, d, l, "the pause behind a crash", func() bool {
		if !strings.Contains(l.String(), "has ended by itself") {
			return false
		}
		if d.Starts() == 1 && d.Healthy() {
			t.Error("it is said to be well in the pause")
		}
		return true
	})
}
