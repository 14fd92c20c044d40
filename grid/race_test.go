package grid_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/cloud-of-se/tses/drivers"
	"github.com/cloud-of-se/tses/drivers/driverstest"
	"github.com/cloud-of-se/tses/grid"
)

// sessions of several goroutines each, all after the same few cards.
const (
	raceSessions   = 12
	raceGoroutines = 3
	raceSteps      = 150
)

// TestRace: no driver gets two calls at once, no SE has two owners, and when
// all sessions are closed every SE is off.
func TestRace(t *testing.T) {
	g := grid.New()
	var cards []*driverstest.Scripted
	for i := range 4 {
		cards = append(cards, driverstest.NewScripted(driverstest.Options{Name: fmt.Sprint(i)}))
		if err := g.Add(fmt.Sprintf("sim%d", i), cards[i]); err != nil {
			t.Fatal(err)
		}
	}
	var owners [4]atomic.Int32 // sessions that know that they have the card
	var all sync.WaitGroup
	for i := range raceSessions {
		all.Go(func() { raceSession(t, g, fmt.Sprint("session", i), &owners) })
	}
	for n := range 200 { // cards that come and go
		cards[n%4].SetFault(driverstest.Fault(rand.IntN(3)))
		time.Sleep(100 * time.Microsecond)
		cards[n%4].SetFault(driverstest.Healthy)
	}
	all.Wait()
	for i, card := range cards {
		c := card.Counts()
		if c.Overlaps != 0 || card.On() || owners[i].Load() != 0 {
			t.Errorf("card %d: %+v, on %v, %d owners", i, c, card.On(), owners[i].Load())
		}
		if c.PowerOns == 0 || c.Commands == 0 {
			t.Errorf("card %d was not used: %+v", i, c)
		}
	}
}

func raceSession(t *testing.T, g *grid.Grid, name string, owners *[4]atomic.Int32) {
	for range 5 {
		s := g.NewSession(name)
		var mine sync.Map // cards that one of the goroutines powered on
		var users sync.WaitGroup
		for range raceGoroutines {
			users.Go(func() {
				for range raceSteps / 5 {
					raceStep(t, s, &mine, owners)
				}
			})
		}
		users.Wait()
		mine.Range(func(i, _ any) bool {
			owners[i.(int)].Add(-1) // Close gives it free at some moment after this
			return true
		})
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
}

func raceStep(t *testing.T, s *grid.Session, mine *sync.Map, owners *[4]atomic.Int32) {
	i := rand.IntN(4)
	seid := fmt.Sprintf("sim%d", i)
	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rand.IntN(2000))*time.Microsecond)
	defer cancel()
	var err error
	switch rand.IntN(6) {
	case 0, 1:
		var already bool
		_, already, err = s.PowerOn(ctx, seid)
		if err == nil && !already {
			if _, loaded := mine.LoadOrStore(i, true); !loaded {
				if n := owners[i].Add(1); n != 1 {
					t.Errorf("%s has %d owners", seid, n)
				}
			}
		}
	case 2:
		_, err = s.Reset(ctx, seid, drivers.Warm)
	default:
		_, err = s.Transmit(ctx, seid, []byte{0x80, 0xDD, 0x00, 0x00})
	}
	var inUse *grid.InUseError
	for _, allowed := range []error{nil, drivers.ErrPoweredOff, drivers.ErrMute, drivers.ErrNoCard, drivers.ErrRemoved, context.DeadlineExceeded} {
		if err == allowed || errors.Is(err, allowed) {
			return
		}
	}
	if !errors.As(err, &inUse) {
		t.Errorf("%s: %v", seid, err)
	}
}

// model is what a grid of two cards and three sessions has to do.
type model struct {
	g        *grid.Grid
	cards    map[string]*driverstest.Scripted
	sessions []*grid.Session
	names    []string
	closed   []bool
	owner    map[string]int  // -1: nobody
	gone     map[string]bool // its owner was told that it was removed
}

// TestGridIsItsModel compares a grid, step by step, with a map of owners.
func TestGridIsItsModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &model{g: grid.New(), cards: make(map[string]*driverstest.Scripted), owner: make(map[string]int), gone: make(map[string]bool)}
		for _, seid := range []string{"a", "b"} {
			m.cards[seid] = driverstest.NewScripted(driverstest.Options{Name: seid})
			m.owner[seid] = -1
			if err := errors.Join(m.g.Add(seid, m.cards[seid]), m.g.Alias("alias-"+seid, seid)); err != nil {
				t.Fatal(err)
			}
		}
		for i := range 3 {
			m.names = append(m.names, fmt.Sprint("user", i))
			m.sessions = append(m.sessions, m.g.NewSession(m.names[i]))
			m.closed = append(m.closed, false)
		}
		t.Repeat(map[string]func(*rapid.T){
			"PowerOn": m.powerOn, "PowerOff": m.powerOff, "Transmit": m.transmit, "Reset": m.reset,
			"Close": m.close, "Fault": m.setFault, "": m.check,
		})
	})
}

// draw chooses a session and a card, by its SEID or its alias.
func (m *model) draw(t *rapid.T) (i int, s *grid.Session, seid, name string) {
	i = rapid.IntRange(0, len(m.sessions)-1).Draw(t, "session")
	seid = rapid.SampledFrom([]string{"a", "b"}).Draw(t, "seid")
	name = rapid.SampledFrom([]string{"", "alias-"}).Draw(t, "by") + seid
	return i, m.sessions[i], seid, name
}

func (m *model) healthy(seid string) bool {
	f := m.cards[seid].Fault()
	return f == driverstest.Healthy || f == driverstest.PowerOffFails
}

// wantOwned checks the error of a call that needs the SE; true says that it
// was to reach the card.
func (m *model) wantOwned(t *rapid.T, i int, seid string, err error) bool {
	var inUse *grid.InUseError
	switch owner := m.owner[seid]; {
	case owner == i:
		if (err == nil) != m.healthy(seid) {
			t.Fatalf("own SE, fault %d: %v", m.cards[seid].Fault(), err)
		}
		m.gone[seid] = m.gone[seid] || errors.Is(err, drivers.ErrRemoved)
		return true
	case owner < 0:
		if !errors.Is(err, drivers.ErrPoweredOff) {
			t.Fatalf("SE that is off: %v", err)
		}
	default:
		if !errors.As(err, &inUse) || inUse.Holder != m.names[owner] || inUse.SEID != seid {
			t.Fatalf("SE of %s: %v", m.names[owner], err)
		}
	}
	return false
}

func (m *model) powerOn(t *rapid.T) {
	i, s, seid, name := m.draw(t)
	atr, already, err := s.PowerOn(t.Context(), name)
	switch owner := m.owner[seid]; {
	case owner == i && m.gone[seid]:
		if already || (err == nil) != m.healthy(seid) {
			t.Fatalf("own SE that was removed, fault %d: %v, %v", m.cards[seid].Fault(), already, err)
		}
		m.gone[seid] = err != nil
	case owner == i:
		if err != nil || !already || len(atr) == 0 {
			t.Fatalf("own SE: %X, %v, %v", atr, already, err)
		}
	case owner >= 0:
		m.wantOwned(t, i, seid, err)
	case m.closed[i]:
		if !errors.Is(err, grid.ErrClosed) {
			t.Fatalf("closed session: %v", err)
		}
	case m.healthy(seid):
		if err != nil || already {
			t.Fatalf("free SE: %v, %v", already, err)
		}
		m.owner[seid], m.gone[seid] = i, false
	case err == nil:
		t.Fatal("a faulty SE was powered on")
	}
}

func (m *model) powerOff(t *rapid.T) {
	i, s, seid, name := m.draw(t)
	err := s.PowerOff(name)
	switch m.owner[seid] {
	case i:
		if (err != nil) != (m.cards[seid].Fault() == driverstest.PowerOffFails) {
			t.Fatalf("own SE: %v", err)
		}
		m.owner[seid] = -1
	case -1:
		if err != nil {
			t.Fatalf("SE that is off: %v", err)
		}
	default:
		m.wantOwned(t, i, seid, err)
	}
}

func (m *model) transmit(t *rapid.T) {
	i, s, seid, name := m.draw(t)
	before := m.cards[seid].Counts().Commands
	_, err := s.Transmit(t.Context(), name, read4)
	reached := m.wantOwned(t, i, seid, err) && m.healthy(seid)
	if got := m.cards[seid].Counts().Commands - before; (got == 1) != reached {
		t.Fatalf("the card got %d commands", got)
	}
}

func (m *model) reset(t *rapid.T) {
	i, s, seid, name := m.draw(t)
	_, err := s.Reset(t.Context(), name, drivers.Cold)
	if m.wantOwned(t, i, seid, err) && err == nil {
		m.gone[seid] = false
	}
}

func (m *model) close(t *rapid.T) {
	i := rapid.IntRange(0, len(m.sessions)-1).Draw(t, "session")
	fails := false
	for seid, owner := range m.owner {
		if owner == i {
			m.owner[seid] = -1
			fails = fails || m.cards[seid].Fault() == driverstest.PowerOffFails
		}
	}
	if err := m.sessions[i].Close(); (err != nil) != fails {
		t.Fatalf("Close: %v, want a failure: %v", err, fails)
	}
	m.closed[i] = true
	if rapid.Bool().Draw(t, "renew") {
		m.sessions[i], m.closed[i] = m.g.NewSession(m.names[i]), false
	}
}

func (m *model) setFault(t *rapid.T) {
	_, _, seid, _ := m.draw(t)
	m.cards[seid].SetFault(rapid.SampledFrom([]driverstest.Fault{
		driverstest.Healthy, driverstest.Healthy, driverstest.Mute, driverstest.Removed, driverstest.PowerOffFails,
	}).Draw(t, "fault"))
}

func (m *model) check(t *rapid.T) {
	for seid, card := range m.cards {
		if card.On() && m.owner[seid] < 0 {
			t.Fatalf("%s is on and nobody's", seid)
		}
		if !card.On() && m.owner[seid] >= 0 {
			t.Fatalf("%s is off and of %s", seid, m.names[m.owner[seid]])
		}
		if n := card.Counts().Overlaps; n != 0 {
			t.Fatalf("%s: %d calls overlapped", seid, n)
		}
	}
}
