//go:build unix

package clock

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

// model is a box whose power is cut and restored, its owner, whose clock is right,
// and servers that are honest, forged or silent. Real time is synctest's.
type model struct {
	t       *testing.T
	rnd     *rand.Rand
	c       *Clock
	file    string
	skew    time.Duration // of the box's clock
	rtc     bool
	named   bool // one server is of the configuration
	lies    map[string]time.Duration
	silent  map[string]bool
	forging int       // how many servers an attacker has, of four
	began   time.Time // when the box was built
	shown   time.Time // the latest that the owner has signed and the box was shown
	saved   time.Time // the evidence that is on the card
	did     []string
}

var modelServers = []string{"a", "b", "c", "d"}

func (m *model) note(format string, args ...any) {
	m.did = append(m.did, fmt.Sprintf("%s: ", time.Now().Format(time.DateTime))+fmt.Sprintf(format, args...))
}

// powerOn starts the box, with a real-time clock that goes on or with 1970.
func (m *model) powerOn() {
	if !m.rtc {
		m.skew = time.Until(time.Unix(0, 0))
	}
	m.c = &Clock{
		Built: m.began, File: m.file, Others: modelServers[1:], Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Now: func() time.Time { return time.Now().Add(m.skew) },
		Set: func(to time.Time) error { m.skew = time.Until(to); return nil },
		// Durable writes take their time, and there are many.
		write: func(path string, text []byte) error { return os.WriteFile(path, text, 0o600) },
		Query: func(_ context.Context, server string) (time.Duration, error) {
			if m.silent[server] {
				return 0, errors.New("no answer")
			}
			return m.lies[server] - m.skew, nil
		},
	}
	if m.named {
		m.c.Servers = modelServers[:1]
	} else {
		m.c.Others = modelServers
	}
	if err := m.c.Start(); err != nil {
		m.t.Fatal(err)
	}
	if e := m.evidence(); e.Before(m.saved) {
		m.t.Errorf("evidence %v after a start, %v was saved", e, m.saved)
	}
}

func (m *model) evidence() time.Time { return m.c.floor.evidence(time.Now()) }

// step does something at random.
func (m *model) step() {
	switch m.rnd.IntN(9) {
	case 0: // the power is cut, sometimes behind a save, sometimes in front of it
		if m.rnd.IntN(2) == 0 {
			m.save()
		}
		off := m.span(400 * day)
		m.note("off for %v", off)
		time.Sleep(off)
		m.powerOn()
	case 1:
		lived := m.span(60 * day)
		m.note("runs for %v", lived)
		time.Sleep(lived)
	case 2:
		m.save()
	case 3: // the attacker comes, goes, or thinks of something else
		m.forging = m.rnd.IntN(5)
		clear(m.lies)
		lie := m.span(25*365*day) - 5*365*day
		for _, server := range modelServers[:m.forging] {
			m.lies[server] = lie
			if m.rnd.IntN(4) == 0 {
				m.lies[server] = m.span(time.Hour)
			}
		}
		m.note("%d servers lie by %v", m.forging, lie)
	case 4:
		clear(m.silent)
		for _, server := range modelServers {
			m.silent[server] = m.rnd.IntN(3) == 0
		}
		m.note("silent %v", m.silent)
	case 5: // somebody with a credential comes
		if t := time.Now().Add(-m.span(30 * day)); t.After(m.began) {
			m.note("shown what was signed at %v", t)
			m.c.Evidence(t, "a credential")
			if t.After(m.shown) && !t.After(m.evidence()) {
				m.shown = t
			}
		}
	default:
		m.c.synchronise(m.t.Context())
	}
}

func (m *model) save() {
	m.c.mu.Lock()
	m.c.save()
	m.c.mu.Unlock()
	s, err := readFloor(m.file)
	if err != nil {
		m.t.Error(err)
	}
	m.saved = s.Evidence
}

func (m *model) span(most time.Duration) time.Duration {
	return time.Duration(m.rnd.Int64N(int64(most)))
}

// expired is package access's judgement of a credential that ends at a time.
func (m *model) expired(end time.Time, administrator bool) bool {
	if administrator && m.c.State() != Proven {
		return m.evidence().After(end)
	}
	return m.c.now().After(end)
}

// check tells what must never be.
func (m *model) check() {
	real := time.Now()
	e, f := m.evidence(), m.c.floor.time(real)
	fail := func(format string, args ...any) {
		m.t.Errorf(format+"; evidence %v, floor %v, clock %v, %v, real %v", append(args, e, f, m.c.now(), m.c.State(), real)...)
	}
	if e.After(real) {
		fail("the evidence has not passed")
	}
	if e.Before(m.shown) || m.c.now().Before(m.shown) {
		fail("what the owner has signed at %v is not believed", m.shown)
	}
	if m.c.now().Before(e) {
		fail("the clock is in front of what has passed")
	}
	if f.Before(e) || f.After(e.Add(maxAhead)) {
		fail("the floor is out of its bounds")
	}
	// Whatever anybody has done, who has a credential of two years from now is
	// let in to administrate; and where the clock is not proven, any that has not
	// expired.
	if m.expired(real.Add(2*365*day), true) {
		fail("a new credential does not let an administrator in")
	}
	if m.c.State() != Proven && m.expired(real.Add(time.Second), true) {
		fail("a credential that has not expired does not let an administrator in")
	}
	// A proven clock that no liar has told is right, and judges everybody.
	if m.c.State() == Proven && m.honest() && (m.c.now().Sub(real).Abs() > time.Minute || !m.expired(real.Add(-2*time.Minute), false) || !m.expired(real.Add(-2*time.Minute), true)) {
		fail("a proven clock is wrong")
	}
}

// honest tells whether the servers that answer are honest, and makes the clock ask
// them.
func (m *model) honest() bool {
	if len(m.lies) > 0 {
		return false
	}
	answer := 0
	for _, server := range modelServers {
		if !m.silent[server] {
			answer++
		}
	}
	return answer >= 2 && m.c.synchronise(m.t.Context()) && m.c.State() == Proven
}

// A box is not shut for ever, whatever servers say and whenever the power is cut:
// walks at random over starts, floors, servers and states.
func TestModel(t *testing.T) {
	walks, steps := 60, 120
	if os.Getenv("TSES_TEST_ALL") == "full" {
		walks = 5000
	}
	var seen [4]int
	for walk := range walks {
		synctest.Test(t, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(uint64(walk), 1))
			m := &model{
				t: t, rnd: rnd, file: filepath.Join(t.TempDir(), "floor"), rtc: rnd.IntN(3) == 0, named: rnd.IntN(2) == 0,
				lies: make(map[string]time.Duration), silent: make(map[string]bool), began: time.Now(),
			}
			m.powerOn()
			for range steps {
				m.step()
				m.check()
				seen[m.c.State()]++
				if t.Failed() {
					for _, line := range m.did {
						t.Log(line)
					}
					t.Fatalf("in walk %d", walk)
				}
			}
			// The attacker goes and nobody tells the time: the next start is right
			// for every administrator, and within half a year for all.
			clear(m.lies)
			for _, server := range modelServers {
				m.silent[server] = true
			}
			m.rtc = false
			m.powerOn()
			m.check()
			if m.c.State() != Floor || m.c.now().After(time.Now().Add(maxAhead)) {
				t.Errorf("walk %d: a start alone: %v, %v; real %v", walk, m.c.State(), m.c.now(), time.Now())
			}
			// Two honest servers are believed again.
			clear(m.silent)
			m.c.synchronise(t.Context())
			if off := time.Until(m.c.now()).Abs(); off > time.Second || m.c.State() < Told {
				t.Errorf("walk %d: honest servers leave the clock %v off, %v", walk, off, m.c.State())
			}
			m.check()
		})
	}
	t.Logf("checked %v times in the states from Floor to Proven", seen)
	for s, n := range seen {
		if n == 0 {
			t.Errorf("no walk has come to the state %v", State(s))
		}
	}
}
