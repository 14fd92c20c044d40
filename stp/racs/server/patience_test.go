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
