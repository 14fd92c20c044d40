//go:build unix

package clock

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
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
	log    lines
}

// lines is a log that is read while it is written.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
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

// save writes the file of an earlier start.
func (m *machine) saveText(t *testing.T, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(m.File), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(m.File, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func saved(t *testing.T, s savedFloor) string {
	t.Helper()
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestStart(t *testing.T) {
	later := built.Add(48 * time.Hour)
	tests := []struct {
		name   string
		starts time.Time
		saved  string
		want   time.Time
		proved time.Time
		state  State
	}{
		{"1970, nothing saved", time.Unix(0, 0), "", built, built, Floor},
		{"1970, a time saved", time.Unix(0, 0), saved(t, savedFloor{Built: built, Evidence: later}), later, later, Floor},
		{"1970, an older time saved", time.Unix(0, 0), saved(t, savedFloor{Built: built, Evidence: built.Add(-time.Hour)}), built, built, Floor},
		{"1970, an older image's", time.Unix(0, 0), saved(t, savedFloor{Built: built.Add(-day), Evidence: later}), later, later, Floor},
		{"1970, a newer image's", time.Unix(0, 0), saved(t, savedFloor{Built: built.Add(time.Second), Evidence: later}), built, built, Floor},
		{"1970, witnessed", time.Unix(0, 0), saved(t, savedFloor{Built: built, Evidence: later, Witnessed: later.Add(day)}), later.Add(day), later, Floor},
		{"1970, witnessed too much", time.Unix(0, 0), saved(t, savedFloor{Built: built, Evidence: later, Witnessed: later.Add(19 * 365 * day)}), later.Add(maxAhead), later, Floor},
		{"1970, witnessed too little", time.Unix(0, 0), saved(t, savedFloor{Built: built, Evidence: later, Witnessed: built}), later, later, Floor},
		{"1970, garbage saved", time.Unix(0, 0), "not a time", built, built, Floor},
		{"1970, nothing in it", time.Unix(0, 0), "{}", built, built, Floor},
		{"1970, what an older box saved", time.Unix(0, 0), built.Add(19 * 365 * day).Format(time.RFC3339), built, built, Floor},
		{"a real-time clock", later, "", later, built, RTC},
		{"a real-time clock gone mad", built.Add(maxAge + time.Hour), "", built, built, Floor},
		{"1970, a time saved that cannot be", time.Unix(0, 0), saved(t, savedFloor{Built: built, Evidence: built.Add(maxAge + time.Hour)}), built, built, Floor},
		{"a real-time clock that is behind", later.Add(-time.Hour), saved(t, savedFloor{Built: built, Evidence: later}), later, later, Floor},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := newMachine(t, tt.starts)
			if tt.saved != "" {
				m.saveText(t, tt.saved)
			}
			var told []State
			m.Changed = func(s State, e time.Time) {
				told = append(told, s)
				if e.Sub(tt.proved).Abs() > time.Second {
					t.Errorf("evidence %v, want %v", e, tt.proved)
				}
			}
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
		real := built.Add(100 * day)
		var asked [4]atomic.Int32
		m.Servers = []string{"down", "liar", "far", "good"}
		up := time.Now().Add(20 * time.Second) // there is no network before
		m.Query = func(ctx context.Context, server string) (time.Duration, error) {
			asked[slices.Index(m.Servers, server)].Add(1)
			switch {
			case server == "down" || time.Now().Before(up):
				return 0, errors.New("no answer")
			case server == "liar":
				return time.Unix(0, 0).Sub(m.now()), nil
			case server == "far":
				return 100 * 365 * day, nil
			}
			return real.Sub(m.now()), nil
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); m.Run(ctx) }()
		time.Sleep(15 * time.Second)
		synctest.Wait()
		if m.State() != Floor || strings.Count(m.log.String(), errNobody.Error()) != 1 {
			t.Errorf("without a server: %v, log\n%s", m.State(), &m.log)
		}
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if m.State() != Proven || m.now().Sub(real).Abs() > time.Minute {
			t.Errorf("got %v, %v; want about %v", m.State(), m.now(), real)
		}
		cancel()
		<-done
		s, err := readFloor(m.File)
		if err != nil || !m.near(s.Witnessed) || s.Evidence.Sub(built) > time.Minute || s.Evidence.Sub(built) < 44*time.Second {
			t.Errorf("saved %v, %v; want %v, and the evidence 45 s behind %v", s, err, m.now(), built)
		}
		if n := asked[0].Load(); n < 3 {
			t.Errorf("a server that does not answer was asked %d times", n)
		}
	})
}

// The servers that DHCP names are asked as soon as they are known.
func TestOffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t, time.Unix(0, 0))
		var told []State
		m.Changed = func(s State, _ time.Time) { told = append(told, s) }
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
		synctest.Wait()
		if told = slices.Compact(told); !slices.Equal(told, []State{Floor}) {
			t.Errorf("without one: %v", told)
		}
		m.Offer([]string{"good"})
		synctest.Wait()
		if told = slices.Compact(told); m.State() != Told || !slices.Equal(told, []State{Floor, Told}) {
			t.Errorf("got %v, told %v", m.State(), told)
		}
		cancel()
		<-done
	})
}

// world is what servers say, by the time that they say it is when the world
// begins.
type world struct {
	*machine
	began  time.Time
	says   map[string]time.Time
	asked  atomic.Int32
	synced int // how often Synced was called
}

// newWorld makes a machine that knows the time, with servers that DHCP names.
func newWorld(t *testing.T, servers ...string) *world {
	w := &world{machine: newMachine(t, time.Unix(0, 0)), began: time.Now(), says: make(map[string]time.Time)}
	w.Query = func(_ context.Context, server string) (time.Duration, error) {
		w.asked.Add(1)
		at, ok := w.says[server]
		if !ok {
			return 0, errors.New("no answer")
		}
		return at.Add(time.Since(w.began)).Sub(w.now()), nil
	}
	w.Synced = func(time.Time) { w.synced++ }
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	w.Offer(servers)
	return w
}

// What servers can do to a clock, and to the next start.
func TestAnswers(t *testing.T) {
	const year = 365 * day
	type says map[string]time.Duration // from the time of the build
	type round struct {
		says  says
		want  time.Duration // what the clock is then
		state State
		floor time.Duration // what the next start would begin with
		logs  string        // what is in the log once then, "" for anything
	}
	base := 100 * day
	pair := func(at time.Duration) says { return says{"a": at, "b": at + time.Second} }
	first := round{pair(base), base, Proven, base, ""}
	for _, tt := range []struct {
		name       string
		configured []string
		rounds     []round
	}{
		{"one forged answer", nil, []round{{says{"a": 19 * year}, 19 * year, Told, 0, "step="}, {says{"a": base}, base, Told, 0, ""}, {says{}, base, Told, 0, ""}}},
		{"one forged answer, one that is right", nil, []round{{says{"a": 19 * year, "b": base}, base, Told, 0, ""}}},
		{"one forged answer, two that are right", nil, []round{{says{"a": 19 * year, "b": base, "c": base + time.Second}, base, Proven, base, "server=b"}}},
		{"two forged answers", nil, []round{{pair(19 * year), 19 * year, Told, maxAhead, "half a year ahead"}, {pair(base), base, Proven, base, ""}}},
		{"two forged answers, then none", nil, []round{{pair(19 * year), 19 * year, Told, maxAhead, ""}, {says{}, 19 * year, Told, maxAhead, ""}}},
		{"two forged answers again and again", nil, []round{{pair(maxAhead), maxAhead, Proven, maxAhead, ""}, {pair(2 * maxAhead), 2 * maxAhead, Told, maxAhead, ""}, {pair(3 * maxAhead), 3 * maxAhead, Told, maxAhead, ""}}},
		{"a forged answer of the configuration", []string{"a"}, []round{{says{"a": 19 * year}, 19 * year, Told, maxAhead, "half a year ahead"}, {says{"a": base}, base, Proven, base, ""}}},
		{"one of the configuration", []string{"a"}, []round{{says{"a": base}, base, Proven, base, ""}}},
		{"two of the configuration, one forged", []string{"a", "b"}, []round{{says{"a": 19 * year, "b": base}, base, Told, 0, ""}}},
		{"two of the configuration, one forged, one besides", []string{"a", "b"}, []round{{says{"a": 19 * year, "b": base, "c": base}, base, Proven, base, "server=b"}}},
		{"two of the configuration, two besides", []string{"a", "b"}, []round{{says{"a": 1 * year, "b": base, "c": 2 * year, "d": 2 * year}, base, Told, 0, ""}}},
		{"one of the configuration, two besides", []string{"a"}, []round{{says{"a": base, "c": year / 3, "d": year / 3}, base, Proven, base, "server=a"}}},
		{"a little", nil, []round{first, {says{"a": base + 30*time.Second}, base + 30*time.Second, Proven, base, "step=30"}, {says{"a": base - 20*time.Second}, base - 20*time.Second, Proven, base, "step=-50"}}},
		{"drift", nil, []round{first, {says{"a": base + time.Second}, base + time.Second, Proven, base, "msg=clock "}}},
		{"ahead", nil, []round{first, {says{"a": base + time.Hour}, base, Proven, base, "too far from"}, {says{"a": base + time.Hour}, base, Proven, base, "too far from"}}},
		{"ahead in many steps", nil, []round{first, {says{"a": base + 50*time.Second}, base + 50*time.Second, Proven, base, ""}, {says{"a": base + 100*time.Second}, base + 50*time.Second, Proven, base, "name it in network.ntp"}}},
		{"back", nil, []round{first, {says{"a": base - time.Hour}, base, Proven, base, "too far from"}}},
		{"back by two", nil, []round{first, {pair(base - 50*day), base - 50*day, Proven, base - 50*day, ""}}},
		{"back by one that is told", nil, []round{{pair(19 * year), 19 * year, Told, maxAhead, ""}, {says{"a": maxAhead - 2*day}, 19 * year, Told, maxAhead, "too far from"}, {says{"a": maxAhead - day/2}, maxAhead - day/2, Told, maxAhead, ""}}},
		{"one that is named twice", nil, []round{first, {says{"a": base + year}, base, Proven, base, "too far from"}}},
		{"two that do not agree", nil, []round{first, {says{"a": base + year, "b": base + year + time.Minute}, base, Proven, base, "too far from"}}},
		{"years and years", nil, []round{{says{"a": 19 * year}, 19 * year, Told, 0, ""}, {says{"a": 38 * year}, 19 * year, Told, 0, "more than 20 years"}}},
		{"years and years by the configuration", []string{"a", "b"}, []round{first, {says{"a": 21 * year, "b": 21 * year}, base, Proven, base, ""}}},
		{"before the build", []string{"a"}, []round{{says{"a": base}, base, Proven, base, ""}, {says{"a": -day}, base, Proven, base, "which has passed"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, "a", "a", "b", "c", "d")
				w.Servers = tt.configured
				for i, r := range tt.rounds {
					clear(w.says)
					for server, at := range r.says {
						w.says[server] = built.Add(at)
					}
					synced := w.synced
					w.synchronise(t.Context())
					lived := time.Since(w.began)
					if d := w.now().Sub(built.Add(r.want).Add(lived)).Abs(); d > 2*time.Second || w.State() != r.state {
						t.Errorf("round %d: the clock is %v, %v; want %v, %v", i+1, w.now(), w.State(), built.Add(r.want).Add(lived), r.state)
					}
					if d := w.floor.time(time.Now()).Sub(built.Add(r.floor).Add(lived)).Abs(); d > 2*time.Second {
						t.Errorf("round %d: the floor is %v, want %v", i+1, w.floor.time(time.Now()), built.Add(r.floor).Add(lived))
					}
					if n := strings.Count(w.log.String(), r.logs); r.logs != "" && n != 1 {
						t.Errorf("round %d: %q is %d times in the log:\n%s", i+1, r.logs, n, &w.log)
					}
					if w.synced != synced && r.state != Proven {
						t.Errorf("round %d: a real-time clock was set by a time that is not proven", i+1)
					}
					time.Sleep(time.Minute)
				}
				w.save()
				next := newMachine(t, time.Unix(0, 0))
				next.File = w.File
				if err := next.Start(); err != nil {
					t.Fatal(err)
				}
				want := built.Add(tt.rounds[len(tt.rounds)-1].floor).Add(time.Since(w.began))
				if d := next.now().Sub(want).Abs(); d > 2*time.Second {
					t.Errorf("the next start: %v, want %v", next.now(), want)
				}
			})
		})
	}
}

// Evidence moves the clock on, whoever has set it, and not too far.
func TestEvidence(t *testing.T) {
	base := 100 * day
	for name, tt := range map[string]struct {
		says  time.Duration // by two servers, 0: none
		shown time.Duration
		want  time.Duration
		has   time.Duration
		state State
	}{
		"nobody has told":          {0, base, base, base, Floor},
		"in front":                 {0, -day, 0, 0, Floor},
		"behind what servers say":  {base, base / 2, base, base / 2, Proven},
		"a little ahead of them":   {base, base + time.Second, base + time.Second, base + time.Second, Proven},
		"far ahead of them":        {base, base + day, base + day, base + day, Told},
		"two years":                {0, maxJump, maxJump, maxJump, Floor},
		"more than two years":      {0, maxJump + time.Minute, 0, 0, Floor},
		"more, and servers agree?": {maxJump, maxJump + time.Minute, maxJump, 0, Told},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, "a", "b")
				if tt.says != 0 {
					w.says["a"], w.says["b"] = built.Add(tt.says), built.Add(tt.says)
					w.synchronise(t.Context())
				}
				var told time.Time
				w.Changed = func(_ State, e time.Time) { told = e }
				w.Evidence(built.Add(tt.shown), "a credential")
				if !w.near(built.Add(tt.want)) || w.State() != tt.state || !w.floor.evidence(time.Now()).Equal(built.Add(tt.has)) {
					t.Errorf("the clock is %v, %v, evidence %v", w.now(), w.State(), w.floor.evidence(time.Now()))
				}
				if tt.has != 0 && !told.Equal(built.Add(tt.has)) {
					t.Errorf("told %v", told)
				}
				s, err := readFloor(w.File)
				if tt.has != 0 && (err != nil || !s.Evidence.Equal(built.Add(tt.has))) {
					t.Errorf("saved %v, %v", s, err)
				}
				w.says["a"], w.says["b"] = built.Add(tt.has-time.Hour), built.Add(tt.has-time.Hour)
				if w.synchronise(t.Context()) {
					t.Error("servers take it back behind the evidence")
				}
			})
		})
	}
}

// An image on trial leaves the file such that the one before it does not begin
// anew; one that is confirmed makes it its own.
func TestTrialSaves(t *testing.T) {
	m := newMachine(t, time.Unix(0, 0))
	trial := true
	m.Trial = func() bool { return trial }
	if err := m.Start(); err != nil {
		t.Fatal(err)
	}
	m.save()
	if _, err := os.Stat(m.File); err == nil {
		t.Error("it has made a file on trial")
	}
	before := built.Add(-day)
	m.saveText(t, saved(t, savedFloor{Built: before, Evidence: before}))
	m.save()
	if s, err := readFloor(m.File); err != nil || !s.Built.Equal(before) || s.Evidence.Before(built) {
		t.Errorf("on trial: %v, %v", s, err)
	}
	trial = false
	m.save()
	if s, err := readFloor(m.File); err != nil || !s.Built.Equal(built) {
		t.Errorf("confirmed: %v, %v", s, err)
	}
}

// A lease that is renewed every second asks no servers, and writes nothing.
func TestShortLeases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.says["a"], w.says["z"] = built.Add(time.Hour), built.Add(time.Hour)
		w.Others = []string{"z"}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); w.Run(ctx) }()
		time.Sleep(50 * time.Minute)
		w.Offer([]string{"a"})
		synctest.Wait()
		if w.State() != Proven || w.synced != 1 {
			t.Fatalf("%v, synced %d times", w.State(), w.synced)
		}
		asked := w.asked.Load()
		if err := os.Remove(w.File); err != nil {
			t.Fatal(err)
		}
		for range 300 {
			time.Sleep(time.Second)
			w.Offer([]string{"a"})
		}
		synctest.Wait()
		if n := w.asked.Load(); n != asked {
			t.Errorf("asked %d times", n-asked)
		}
		if _, err := os.Stat(w.File); err == nil {
			t.Error("the time is saved again")
		}
		for i := range 100 { // others each time, on another network
			time.Sleep(time.Second)
			w.Offer([]string{"a", string(rune('b' + i%2))})
		}
		synctest.Wait()
		if n := w.asked.Load(); n < asked+100 || w.synced < 100 {
			t.Errorf("asked %d times for 100 other servers, synced %d times", n-asked, w.synced)
		}
		if _, err := os.Stat(w.File); err == nil {
			t.Error("the time is saved for each answer")
		}
		time.Sleep(saveEvery)
		synctest.Wait()
		if _, err := os.Stat(w.File); err != nil {
			t.Errorf("it is not saved in time: %v", err)
		}
		cancel()
		<-done
	})
}

// A box that is switched off soon has lived, too.
func TestSavedSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); w.Run(ctx) }()
		saves := 0
		for range 240 {
			os.Remove(w.File)
			time.Sleep(time.Minute)
			synctest.Wait()
			if _, err := os.Stat(w.File); err == nil {
				saves++
			}
		}
		if saves < 20 || saves > 40 {
			t.Errorf("saved %d times in 4 hours", saves)
		}
		cancel()
		<-done
	})
}
