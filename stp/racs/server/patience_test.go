package server

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloud-of-se/tses/drivers"
	"github.com/cloud-of-se/tses/stp/racs"
)

// A command has its time, and has it again when its SE asks for more, up to a
// bound, and as long as there is a client.
func TestPatience(t *testing.T) {
	gone := errors.New("gone")
	for name, tt := range map[string]struct {
		asks  time.Duration // between two; 0: never
		works time.Duration
		left  time.Duration // when the client goes
		want  time.Duration
		err   error
	}{
		"in time":               {0, 29 * time.Second, time.Hour, 29 * time.Second, nil},
		"mute":                  {0, time.Minute, time.Hour, 30 * time.Second, context.DeadlineExceeded},
		"asks for time":         {5 * time.Second, 2 * time.Minute, time.Hour, 2 * time.Minute, nil},
		"asks too late":         {31 * time.Second, 2 * time.Minute, time.Hour, 30 * time.Second, context.DeadlineExceeded},
		"asks for ever":         {time.Second, time.Hour, time.Hour, 5 * time.Minute, context.DeadlineExceeded},
		"asks for nobody's":     {5 * time.Second, time.Hour, 12 * time.Second, 15 * time.Second, gone},
		"asks once in its time": {29 * time.Second, 57 * time.Second, time.Hour, 57 * time.Second, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				w := &patience{time: 30 * time.Second, gone: func() error {
					if time.Since(start) >= tt.left {
						return gone
					}
					return nil
				}}
				for range 2 { // the second is not disturbed by the first
					start = time.Now()
					err := w.end(work(w.begin(drivers.OnBusy(t.Context(), w.busy)), tt.asks, tt.works))
					if took := time.Since(start); took != tt.want || !errors.Is(err, tt.err) || (err == nil) != (tt.err == nil) {
						t.Errorf("%v after %v, want %v after %v", err, took, tt.err, tt.want)
					}
					if errors.Is(err, context.DeadlineExceeded) && classOf(err) != racs.HardwareError {
						t.Errorf("its class is %v", classOf(err))
					}
				}
			})
		})
	}
}

// Commands share a context and a timer until one is given up; the next has its
// own, and its whole time.
func TestPatienceIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &patience{time: 30 * time.Second, gone: func() error { return nil }}
		parent := drivers.OnBusy(t.Context(), w.busy)
		first := w.begin(parent)
		time.Sleep(20 * time.Second)
		if err := w.end(nil); err != nil || first.Err() != nil {
			t.Errorf("end: %v, context: %v", err, first.Err())
		}
		if n := testing.AllocsPerRun(100, func() {
			if w.begin(parent) != first {
				t.Fatal("the second command has another context")
			}
			_ = w.end(nil)
		}); n != 0 {
			t.Errorf("a command takes %v allocations, want none", n)
		}
		time.Sleep(time.Hour) // idle
		start := time.Now()
		ctx := w.begin(parent)
		time.Sleep(10 * time.Second)
		_ = w.end(nil)
		if ctx != first || w.begin(parent) != first {
			t.Error("after an idle time a command has another context")
		}
		err := w.end(work(ctx, 0, time.Hour))
		if took := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || took != 40*time.Second {
			t.Errorf("%v after %v, want %v after 10 s and 30 s", err, took, context.DeadlineExceeded)
		}
		if ctx = w.begin(parent); ctx == first || ctx.Err() != nil {
			t.Errorf("behind one that was given up: %v", ctx.Err())
		}
		w.close()
		if ctx.Err() == nil {
			t.Error("the context outlives the session")
		}
	})
}

// work is an SE that works, and asks for time.
func work(ctx context.Context, asks, works time.Duration) error {
	done := time.After(works)
	if asks == 0 {
		asks = time.Hour
	}
	tick := time.NewTicker(asks)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
			drivers.Busy(ctx)
		}
	}
}
