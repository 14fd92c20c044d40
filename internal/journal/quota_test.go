package journal

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// text is what was written, for other goroutines to read.
type text struct {
	mu sync.Mutex
	b  strings.Builder
}

func (t *text) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.Write(p)
}

func (t *text) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.String()
}

// Each origin has its lines of each kind, and one that says how many more there
// were.
func TestQuota(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text text
		q := NewQuota(NewHandler(&text), 3, time.Minute)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); q.Run(ctx) }()
		alice, bob := q.Logger("a", "client", "alice"), q.Logger("b", "client", "bob")
		for i := range 1000 {
			alice.With("from", "::1").Warn("refused", "err", i)
		}
		alice.WithGroup("g").Info("power on")
		bob.Warn("refused")
		check := func(what string, n int) {
			t.Helper()
			if got := strings.Count(text.String(), what); got != n {
				t.Errorf("%d of %s, want %d:\n%s", got, what, n, text.String())
			}
		}
		check("msg=refused client=alice from=::1 err=", 3)
		check(`note="further ones`, 1)
		check(`msg="power on" client=alice`, 1)
		check("msg=refused client=bob", 1)
		check("left out", 0)
		time.Sleep(time.Minute)
		synctest.Wait()
		check(`level=WARN msg="lines were left out" client=alice of=refused number=997 within=1m0s`, 1)
		check("left out", 1)
		for range 4 {
			alice.Warn("refused")
		}
		check("msg=refused client=alice", 6)
		cancel()
		<-done
		check(`client=alice of=refused number=1 within=1m0s`, 1)
	})
}

// Who can make origins at will does not fill the memory.
func TestQuotaOfManyOrigins(t *testing.T) {
	var text strings.Builder
	q := NewQuota(NewHandler(&text), 1, time.Minute)
	for i := range 2 * maxKinds {
		q.Logger(i, "client", fmt.Sprint(i)).Info("begins")
	}
	if n := len(q.counts); n > maxKinds+1 {
		t.Errorf("%d kinds are told apart", n)
	}
	q.renew()
	if got, want := text.String(), fmt.Sprintf("of=\"all kinds that were too many\" number=%d ", maxKinds-1); !strings.Contains(got, want) {
		t.Errorf("it does not say %s", want)
	}
}

func BenchmarkQuota(b *testing.B) {
	log := NewQuota(slog.DiscardHandler, 30, time.Minute).Logger(1)
	for b.Loop() {
		log.Info("refused")
	}
}
