//go:build unix

package clock

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// built lies behind synctest's clock, which begins at 2000-01-01.
var built = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

// machine is a clock that can be set.
type machine struct {
	*Clock
	offset time.Duration
	log    bytes.Buffer
}

func newMachine(t *testing.T, starts time.Time) *machine {
	m := &machine{offset: time.Until(starts)}
	m.Clock = &Clock{
		Built: built, File: filepath.Join(t.TempDir(), "tses", "clock"),
		Log: slog.New(slog.NewTextHandler(&m.log, nil)),
		Now: func() time.Time { return time.Now().Add(m.offset) },
		Set: func(to time.Time) error { m.offset = time.Until(to); return nil },
	}
	return m
}

func (m *machine) near(want time.Time) bool {
	d := m.now().Sub(want)
	return d > -time.Second && d < time.Second
}

func TestStart(t *testing.T) {
	later, garbage := built.Add(48*time.Hour), "not a time"
	tests := []struct {
		name   string
		starts time.Time
		saved  string
		want   time.Time
		state  State
	}{
		{"1970, nothing saved", time.Unix(0, 0), "", built, Floor},
		{"1970, a time saved", time.Unix(0, 0), later.Format(time.RFC3339), later, Floor},
		{"1970, an older time saved", time.Unix(0, 0), built.Add(-time.Hour).Format(time.RFC3339), built, Floor},
		{"1970, garbage saved", time.Unix(0, 0), garbage, built, Floor},
		{"a real-time clock", later, "", later, RTC},
		{"a real-time clock that is behind", later.Add(-time.Hour), later.Format(time.RFC3339), later, Floor},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := newMachine(t, tt.starts)
			if tt.saved != "" {
				if err := os.MkdirAll(filepath.Dir(m.File), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(m.File, []byte(tt.saved), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			var told []State
			m.Changed = func(s State) { told = append(told, s) }
			if err := m.Start(); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(told, []State{tt.state}) {
				t.Errorf("told %v, want %v", told, tt.state)
			}
			if !m.near(tt.want) || m.State() != tt.state {
				t.Errorf("got %v, %v; want %v, %v", m.now(), m.State(), tt.want, tt.state)
			}
			if lost := strings.Contains(m.log.String(), "has lost the time"); lost != (tt.state == Floor) {
				t.Errorf("the log:\n%s", &m.log)
			}
		})
	}
}

func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t, time.Unix(0, 0))
		if err := m.Start(); err != nil {
			t.Fatal(err)
		}
		real := built.Add(100 * 24 * time.Hour)
		asked := make(map[string]int)
		m.Servers = []string{"down", "liar", "far", "good"}
		up := time.Now().Add(20 * time.Second) // there is no network before
		m.Query = func(ctx context.Context, server string) (time.Duration, error) {
			asked[server]++
			switch {
			case server == "down" || time.Now().Before(up):
				return 0, errors.New("no answer")
			case server == "liar":
				return time.Unix(0, 0).Sub(m.now()), nil
			case server == "far":
				return 100 * 365 * 24 * time.Hour, nil
			}
			return real.Sub(m.now()), nil
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); m.Run(ctx) }()
		time.Sleep(15 * time.Second)
		if m.State() != Floor {
			t.Errorf("without a server: %v", m.State())
		}
		time.Sleep(30 * time.Second)
		if m.State() != Synchronised || m.now().Sub(real).Abs() > time.Minute {
			t.Errorf("got %v, %v; want about %v", m.State(), m.now(), real)
		}
		cancel()
		<-done
		if saved, err := m.saved(); err != nil || !m.near(saved) {
			t.Errorf("saved %v, %v; want %v", saved, err, m.now())
		}
		if asked["down"] < 3 {
			t.Errorf("a server that does not answer was asked %d times", asked["down"])
		}
	})
}

// The servers that DHCP names are asked as soon as they are known.
func TestOffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t, time.Unix(0, 0))
		told := make(chan State, 2)
		m.Changed = func(s State) { told <- s }
		if err := m.Start(); err != nil {
			t.Fatal(err)
		}
		m.Servers = []string{"down"}
		m.Query = func(_ context.Context, server string) (time.Duration, error) {
			if server == "down" {
				return 0, errors.New("no answer")
			}
			return time.Hour, nil
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); m.Run(ctx) }()
		time.Sleep(time.Hour) // long pauses between the tries
		m.Offer([]string{"good"})
		synctest.Wait()
		if m.State() != Synchronised || <-told != Floor || <-told != Synchronised {
			t.Errorf("got %v", m.State())
		}
		cancel()
		<-done
	})
}
