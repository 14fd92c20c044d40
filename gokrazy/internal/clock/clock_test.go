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
		{"a real-time clock gone mad", built.Add(maxAge + time.Hour), "", built, Floor},
		{"1970, a time saved that cannot be", time.Unix(0, 0), built.Add(maxAge + time.Hour).Format(time.RFC3339), built, Floor},
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

// world is what servers say, by the time that they say it is when the world
// begins.
type world struct {
	*machine
	began time.Time
	says  map[string]time.Time
	asked int
	told  int // how often Synced was called
}

// newWorld makes a machine that knows the time, with servers that DHCP names.
func newWorld(t *testing.T, servers ...string) *world {
	w := &world{machine: newMachine(t, time.Unix(0, 0)), began: time.Now(), says: make(map[string]time.Time)}
	w.Query = func(_ context.Context, server string) (time.Duration, error) {
		w.asked++
		at, ok := w.says[server]
		if !ok {
			return 0, errors.New("no answer")
		}
		return at.Add(time.Since(w.began)).Sub(w.now()), nil
	}
	w.Synced = func(time.Time) { w.told++ }
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	w.Offer(servers)
	return w
}

// A single server that DHCP names cannot take the clock far, in one step or in
// many; one of the configuration can, and two that agree, within what the image
// can see.
func TestFarSteps(t *testing.T) {
	const day, year = 24 * time.Hour, 365 * 24 * time.Hour
	type round struct {
		says  map[string]time.Duration // from the time of the build
		want  time.Duration            // what the clock is then
		logs  string                   // how often what is in the log, "" for anything
		count int
	}
	base := 100 * day
	single := func(server string, at time.Duration) map[string]time.Duration {
		return map[string]time.Duration{server: at}
	}
	first := round{says: single("a", base), want: base, logs: "level=WARN msg=clock", count: 1}
	for _, tt := range []struct {
		name       string
		configured []string
		rounds     []round
	}{
		{"a little", nil, []round{first, {single("a", base+time.Minute), base + time.Minute, "step=1m", 1}, {single("a", base-time.Minute), base - time.Minute, "step=-2m", 1}}},
		{"drift", nil, []round{first, {single("a", base+time.Second), base + time.Second, "msg=clock ", 1}}},
		{"ahead", nil, []round{first, {single("a", base+31*day), base, "is not taken", 1}, {single("a", base+31*day), base, "is not taken", 1}}},
		{"ahead in many steps", nil, []round{first, {single("a", base+20*day), base + 20*day, "", 0}, {single("a", base+40*day), base + 20*day, "name it in network.ntp", 1}}},
		{"back", nil, []round{first, {single("a", base-2*day), base, "is not taken", 1}}},
		{"back in many steps", nil, []round{first, {single("a", base-20*time.Hour), base - 20*time.Hour, "", 0}, {single("a", base-40*time.Hour), base - 20*time.Hour, "is not taken", 1}}},
		{"ahead by the configuration", []string{"a"}, []round{first, {single("a", base+31*day), base + 31*day, "", 0}, {single("a", base+62*day), base + 62*day, "is not taken", 0}}},
		{"back by the configuration", []string{"a"}, []round{first, {single("a", base-50*day), base - 50*day, "step=-1200h", 1}, {single("a", base-99*day), base - 99*day, "", 0}}},
		{"two that agree", nil, []round{first, {map[string]time.Duration{"a": base + year, "b": base + year + time.Second}, base + year, "server=b", 1}, {single("a", base+year+20*day), base + year + 20*day, "", 0}, {map[string]time.Duration{"a": base, "b": base}, base, "", 0}}},
		{"one that is named twice", nil, []round{first, {single("a", base+year), base, "is not taken", 1}}},
		{"two that do not", nil, []round{first, {map[string]time.Duration{"a": base + year, "b": base + year + time.Minute}, base, "is not taken", 2}}},
		{"another is right", nil, []round{first, {map[string]time.Duration{"a": base + year, "b": base}, base, "is not taken", 1}}},
		{"years and years", nil, []round{{single("a", 19*year), 19 * year, "", 0}, {single("a", 38*year), 19 * year, "more than 20 years", 1}}},
		{"years and years by the configuration", []string{"a", "b"}, []round{first, {map[string]time.Duration{"a": 21 * year, "b": 21 * year}, base, "is not taken", 2}}},
		{"before the build", []string{"a"}, []round{first, {single("a", -day), base, "is not taken", 1}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, "a", "a", "b")
				w.Servers = tt.configured
				for i, r := range tt.rounds {
					clear(w.says)
					for server, at := range r.says {
						w.says[server] = built.Add(at)
					}
					w.synchronise(t.Context())
					want := built.Add(r.want).Add(time.Since(w.began))
					if d := w.now().Sub(want).Abs(); d > 2*time.Second {
						t.Errorf("round %d: the clock is %v, want %v", i+1, w.now(), want)
					}
					if n := strings.Count(w.log.String(), r.logs); r.logs != "" && n != r.count {
						t.Errorf("round %d: %q is %d times in the log, want %d:\n%s", i+1, r.logs, n, r.count, &w.log)
					}
					time.Sleep(time.Minute)
				}
				// The next start does not begin earlier than what single servers may do.
				w.save()
				saved, err := w.saved()
				if err != nil || saved.Before(w.now().Add(-2*time.Second)) || saved.After(w.now().Add(maxBack)) {
					t.Errorf("saved %v, %v; the clock is %v", saved, err, w.now())
				}
			})
		})
	}
}

// A lease that is renewed every second asks no servers, and writes nothing.
func TestShortLeases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.says["a"] = built.Add(time.Hour)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); w.Run(ctx) }()
		time.Sleep(time.Hour)
		w.Offer([]string{"a"})
		synctest.Wait()
		if w.State() != Synchronised || w.told != 1 {
			t.Fatalf("%v, told %d times", w.State(), w.told)
		}
		asked := w.asked
		if err := os.Remove(w.File); err != nil {
			t.Fatal(err)
		}
		for range 300 {
			time.Sleep(time.Second)
			w.Offer([]string{"a"})
		}
		synctest.Wait()
		if w.asked != asked {
			t.Errorf("asked %d times", w.asked-asked)
		}
		if _, err := os.Stat(w.File); err == nil {
			t.Error("the time is saved again")
		}
		for i := range 100 { // others each time, on another network
			time.Sleep(time.Second)
			w.Offer([]string{"a", string(rune('b' + i%2))})
		}
		synctest.Wait()
		if w.asked < asked+100 || w.told < 100 {
			t.Errorf("asked %d times for 100 other servers, told %d times", w.asked-asked, w.told)
		}
		if _, err := os.Stat(w.File); err == nil {
			t.Error("the time is saved for each answer")
		}
		time.Sleep(saveEvery)
		if _, err := os.Stat(w.File); err != nil {
			t.Errorf("it is not saved in time: %v", err)
		}
		cancel()
		<-done
	})
}
