package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloud-of-se/tses/drivers"
	"github.com/cloud-of-se/tses/drivers/driverstest"
	"github.com/cloud-of-se/tses/grid"
)

// shelf is a place where a card is or is not.
type shelf struct {
	mu     sync.Mutex
	card   *driverstest.Scripted
	fails  error // of opening
	opens  int   // tries
	isOpen int
}

func newShelf() *shelf {
	return &shelf{card: driverstest.NewScripted(driverstest.Options{Name: "shelf"})}
}

func (s *shelf) open() (drivers.SE, io.Closer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opens++
	if s.fails != nil {
		return nil, nil, s.fails
	}
	s.isOpen++
	return s.card, s, nil
}

func (s *shelf) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.isOpen--
	return nil
}

func (s *shelf) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fails = err
}

func (s *shelf) counts() (opens, isOpen int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opens, s.isOpen
}

// retry makes a retrying SE on a shelf, and a log without times.
func retry(t *testing.T, s *shelf) (*retrying, *logBuffer) {
	t.Helper()
	log := new(logBuffer)
	r := newRetrying("test(shelf)", s.open, slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	})))
	return r, log
}

func closeAll(t *testing.T, r *retrying, s *shelf) {
	t.Helper()
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if _, isOpen := s.counts(); isOpen != 0 {
		t.Errorf("open %d times more than closed", isOpen)
	}
	if s.card.On() {
		t.Error("the card is left on")
	}
}

// TestRetryingConformance: in good times nobody notices that it is there.
func TestRetryingConformance(t *testing.T) {
	var s *shelf
	driverstest.Conformance(t, func(t *testing.T) drivers.SE {
		s = newShelf()
		r, _ := retry(t, s)
		t.Cleanup(func() { closeAll(t, r, s) })
		return r
	}, driverstest.Probe{
		Bubble: true,
		Slow:   []byte{0x80, 0xDD, 0x75, 0x30}, SlowTime: 30 * time.Second,
		Executed: func() int64 { return s.card.Counts().Commands },
		Exchanges: []driverstest.Exchange{
			{Name: "case 2", Command: []byte{0, 0xB0, 0, 0, 2}, Want: []byte{0, 1, 0x90, 0}},
			{Name: "case 1", Command: []byte{0x80, 0x5A, 0x6A, 0x82}, Want: []byte{0x6A, 0x82}},
		},
	})
}

// TestRetryingBackoff: a place that is empty is looked at ever more seldom, and
// the log hears of it once.
func TestRetryingBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		s.fail(errors.New("there is no /dev/ttyUSB0"))
		r, log := retry(t, s)
		for _, step := range []struct {
			after time.Duration
			opens int
		}{{0, 1}, {time.Second, 2}, {2 * time.Second, 3}, {4 * time.Second, 4}, {8 * time.Second, 5}, {16 * time.Second, 6}, {32 * time.Second, 7}, {time.Minute, 8}, {time.Minute, 9}, {time.Hour, 69}} {
			time.Sleep(step.after)
			synctest.Wait()
			if opens, _ := s.counts(); opens != step.opens {
				t.Errorf("after %s more: %d tries, want %d", step.after, opens, step.opens)
			}
		}
		s.fail(nil)
		time.Sleep(time.Minute)
		synctest.Wait()
		const want = `level=WARN msg="element does not answer, the others serve" retry=1s err="no secure element is there: there is no /dev/ttyUSB0"
level=INFO msg="element answers" driver=scripted(shelf)
`
		if log.String() != want {
			t.Errorf("%s\nwant\n%s", log, want)
		}
		if opens, _ := s.counts(); opens != 70 {
			t.Errorf("%d tries", opens)
		}
		time.Sleep(time.Hour) // it answers: nobody looks
		if opens, _ := s.counts(); opens != 70 || s.card.On() {
			t.Errorf("%d tries, on %v", opens, s.card.On())
		}
		closeAll(t, r, s)
	})
}

// TestRetryingPowerOnIsATry: its user does not wait for the next try, and is
// told why it failed.
func TestRetryingPowerOnIsATry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		s.card.SetFault(driverstest.Removed)
		r, _ := retry(t, s)
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if opens, isOpen := s.counts(); opens < 10 || isOpen != 0 {
			t.Errorf("%d tries, open %d: what does not answer is to be closed", opens, isOpen)
		}
		_, err := r.PowerOn(t.Context())
		if !errors.Is(err, drivers.ErrNoCard) {
			t.Errorf("%v, want %v", err, drivers.ErrNoCard)
		}
		s.card.SetFault(driverstest.Healthy)
		if _, err := r.PowerOn(t.Context()); err != nil {
			t.Error(err)
		}
		if got, err := r.Transmit(t.Context(), []byte{0, 0xB0, 0, 0, 2}); err != nil || !bytes.Equal(got, []byte{0, 1, 0x90, 0}) {
			t.Errorf("%X %v", got, err)
		}
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if n := s.card.Counts().PowerOns; !s.card.On() || n != 1 {
			t.Errorf("tried while it was used: %d times on", n)
		}
		closeAll(t, r, s)
	})
}

// TestRetryingPulledOut: an SE that goes away in use is opened anew when it is
// back, and only after its user has let go of it.
func TestRetryingPulledOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		r, log := retry(t, s)
		synctest.Wait()
		if _, err := r.PowerOn(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.card.SetFault(driverstest.Removed)
		if _, err := r.Transmit(t.Context(), []byte{0, 0xB0, 0, 0, 2}); !errors.Is(err, drivers.ErrRemoved) {
			t.Errorf("%v, want %v", err, drivers.ErrRemoved)
		}
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if opens, _ := s.counts(); opens != 1 {
			t.Errorf("opened %d times under its user's feet", opens)
		}
		if err := r.PowerOff(t.Context()); err != nil {
			t.Error(err)
		}
		time.Sleep(10 * time.Minute)
		s.card.SetFault(driverstest.Healthy)
		time.Sleep(lastRetry)
		synctest.Wait()
		if !strings.HasSuffix(log.String(), "level=INFO msg=\"element answers\" driver=scripted(shelf)\n") || strings.Count(log.String(), "\n") > 4 {
			t.Errorf("%s", log)
		}
		if _, err := r.PowerOn(t.Context()); err != nil {
			t.Error(err)
		}
		closeAll(t, r, s)
	})
}

// TestRetryingPowerOnAgain: who still has an SE that was put back powers it on
// again, which opens it anew.
func TestRetryingPowerOnAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		r, _ := retry(t, s)
		if _, err := r.PowerOn(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.card.SetFault(driverstest.Removed)
		if _, err := r.Transmit(t.Context(), []byte{0, 0xB0, 0, 0, 2}); !errors.Is(err, drivers.ErrRemoved) {
			t.Errorf("%v, want %v", err, drivers.ErrRemoved)
		}
		if _, err := r.PowerOn(t.Context()); !errors.Is(err, drivers.ErrNoCard) {
			t.Errorf("%v, want %v", err, drivers.ErrNoCard)
		}
		s.card.SetFault(driverstest.Healthy)
		before, _ := s.counts()
		if _, err := r.PowerOn(t.Context()); err != nil {
			t.Error(err)
		}
		if opens, _ := s.counts(); opens != before+1 {
			t.Errorf("opened %d times, want once more than %d", opens, before)
		}
		if got, err := r.Transmit(t.Context(), []byte{0, 0xB0, 0, 0, 2}); err != nil || !bytes.Equal(got, []byte{0, 1, 0x90, 0}) {
			t.Errorf("%X %v", got, err)
		}
		closeAll(t, r, s)
	})
}

// TestRetryingHurry: a try that hangs gives way to who wants the SE.
func TestRetryingHurry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		s.card.SetFault(driverstest.Hang)
		r, log := retry(t, s)
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		start := time.Now()
		if _, err := r.PowerOn(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v, want %v", err, context.DeadlineExceeded)
		}
		if d := time.Since(start); d > probeTime+time.Second {
			t.Errorf("it took %s", d)
		}
		s.card.SetFault(driverstest.Healthy)
		if _, err := r.PowerOn(t.Context()); err != nil {
			t.Error(err)
		}
		if err := r.PowerOff(t.Context()); err != nil {
			t.Error(err)
		}
		s.card.SetFault(driverstest.Removed)
		if _, err := r.PowerOn(t.Context()); !errors.Is(err, drivers.ErrNoCard) {
			t.Errorf("%v, want %v", err, drivers.ErrNoCard)
		}
		s.card.SetFault(driverstest.Healthy)
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := strings.Count(log.String(), "element answers"); n != 2 {
			t.Errorf("it answered %d times, want 2: nobody looks any more\n%s", n, log)
		}
		closeAll(t, r, s)
	})
}

// TestRetryingPowerOffWhileItTries: nothing is powered off under a try, and
// nobody waits for one.
func TestRetryingPowerOffWhileItTries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		s.card.SetFault(driverstest.Hang)
		r, _ := retry(t, s)
		synctest.Wait()
		start := time.Now()
		if err := r.PowerOff(t.Context()); err != nil || time.Since(start) > 0 {
			t.Errorf("%v after %s", err, time.Since(start))
		}
		if _, err := r.Transmit(t.Context(), []byte{0, 0xB0, 0, 0, 2}); !errors.Is(err, drivers.ErrPoweredOff) {
			t.Errorf("%v, want %v", err, drivers.ErrPoweredOff)
		}
		s.card.SetFault(driverstest.Healthy)
		closeAll(t, r, s)
	})
}

// TestRetryingInAGrid pulls and plugs while sessions use the SE.
func TestRetryingInAGrid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		r, _ := retry(t, s)
		g := grid.New()
		if err := g.Add("se1", r); err != nil {
			t.Fatal(err)
		}
		for round := range 20 {
			session := g.NewSession(fmt.Sprint("user", round))
			out := round%3 == 1
			if out {
				s.card.SetFault(driverstest.Removed)
			}
			_, _, err := session.PowerOn(t.Context(), "se1")
			if (err != nil) != out || out && !errors.Is(err, drivers.ErrNoCard) {
				t.Errorf("round %d: %v", round, err)
			}
			if round%3 == 2 {
				s.card.SetFault(driverstest.Removed)
				if _, err := session.Transmit(t.Context(), "se1", []byte{0, 0xB0, 0, 0, 2}); !errors.Is(err, drivers.ErrRemoved) {
					t.Errorf("round %d: %v", round, err)
				}
			}
			s.card.SetFault(driverstest.Healthy)
			if err := session.Close(); err != nil {
				t.Errorf("round %d: %v", round, err)
			}
			time.Sleep(time.Duration(round) * time.Second / 3)
		}
		closeAll(t, r, s)
	})
}

// TestRetryingReset: who still has an SE that was pulled out and put back gets
// it by a reset, and not before.
func TestRetryingReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		r, _ := retry(t, s)
		command := []byte{0, 0xB0, 0, 0, 2}
		if _, err := r.PowerOn(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.card.SetFault(driverstest.Removed)
		s.fail(errors.New("there is no /dev/ttyUSB0"))
		if _, err := r.Transmit(t.Context(), command); !errors.Is(err, drivers.ErrRemoved) {
			t.Errorf("%v, want %v", err, drivers.ErrRemoved)
		}
		for range 2 {
			if _, err := r.Reset(t.Context(), drivers.Warm); !errors.Is(err, drivers.ErrNoCard) {
				t.Errorf("%v, want %v", err, drivers.ErrNoCard)
			}
			if _, err := r.Transmit(t.Context(), command); !errors.Is(err, drivers.ErrRemoved) {
				t.Errorf("%v, want %v", err, drivers.ErrRemoved)
			}
		}
		s.card.SetFault(driverstest.Healthy)
		s.fail(nil)
		if atr, err := r.Reset(t.Context(), drivers.Warm); err != nil || len(atr) == 0 {
			t.Errorf("%X %v", atr, err)
		}
		if got, err := r.Transmit(t.Context(), command); err != nil || !bytes.Equal(got, []byte{0, 1, 0x90, 0}) {
			t.Errorf("%X %v", got, err)
		}
		s.fail(errors.New("there is no /dev/ttyUSB0"))
		s.card.SetFault(driverstest.Removed)
		if _, err := r.Transmit(t.Context(), command); !errors.Is(err, drivers.ErrRemoved) {
			t.Errorf("%v, want %v", err, drivers.ErrRemoved)
		}
		if _, err := r.Reset(t.Context(), drivers.Cold); !errors.Is(err, drivers.ErrNoCard) {
			t.Errorf("%v, want %v", err, drivers.ErrNoCard)
		}
		closeAll(t, r, s)
	})
}

// TestRetryingReopens: an SE that was pulled out and put back in between two
// calls of its user is opened anew: its driver knows the old one.
func TestRetryingReopens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		r, _ := retry(t, s)
		synctest.Wait()
		if _, err := r.PowerOn(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.card.SetFault(driverstest.Removed)
		if _, err := r.Transmit(t.Context(), []byte{0, 0xB0, 0, 0, 2}); !errors.Is(err, drivers.ErrRemoved) {
			t.Errorf("%v, want %v", err, drivers.ErrRemoved)
		}
		s.card.SetFault(driverstest.Healthy)
		if _, err := r.PowerOn(t.Context()); err != nil {
			t.Error(err)
		}
		if opens, isOpen := s.counts(); opens != 2 || isOpen != 1 {
			t.Errorf("opened %d times, open %d, want 2 and 1", opens, isOpen)
		}
		s.card.SetFault(driverstest.Removed)
		if _, err := r.Transmit(t.Context(), []byte{0, 0xB0, 0, 0, 2}); !errors.Is(err, drivers.ErrRemoved) {
			t.Errorf("%v, want %v", err, drivers.ErrRemoved)
		}
		s.card.SetFault(driverstest.Healthy)
		if _, err := r.Reset(t.Context(), drivers.Cold); err != nil {
			t.Error(err)
		}
		if opens, isOpen := s.counts(); opens != 3 || isOpen != 1 {
			t.Errorf("opened %d times, open %d, want 3 and 1", opens, isOpen)
		}
		closeAll(t, r, s)
	})
}

// TestRetryingMuteOnce: an SE that has answered again is not looked for.
func TestRetryingMuteOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		r, log := retry(t, s)
		if _, err := r.PowerOn(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.card.SetFault(driverstest.Mute)
		if _, err := r.Transmit(t.Context(), []byte{0, 0xB0, 0, 0, 2}); !errors.Is(err, drivers.ErrMute) {
			t.Errorf("%v, want %v", err, drivers.ErrMute)
		}
		s.card.SetFault(driverstest.Healthy)
		if _, err := r.Transmit(t.Context(), []byte{0, 0xB0, 0, 0, 2}); err != nil {
			t.Error(err)
		}
		if err := r.PowerOff(t.Context()); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Minute)
		if opens, _ := s.counts(); strings.Contains(log.String(), "does not answer") || opens > 2 {
			t.Errorf("opened %d times\n%s", opens, log)
		}
		closeAll(t, r, s)
	})
}

// TestRetryingNoticesAtPowerOn: an SE that goes away while nobody has it is
// missed by who powers it on, who has nothing then, and looked for from then on.
func TestRetryingNoticesAtPowerOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		r, log := retry(t, s)
		synctest.Wait()
		for round := 1; round <= 2; round++ {
			s.card.SetFault(driverstest.Removed)
			if _, err := r.PowerOn(t.Context()); !errors.Is(err, drivers.ErrNoCard) {
				t.Errorf("%v, want %v", err, drivers.ErrNoCard)
			}
			if _, err := r.Transmit(t.Context(), []byte{0, 0xB0, 0, 0, 2}); !errors.Is(err, drivers.ErrPoweredOff) {
				t.Errorf("%v, want %v", err, drivers.ErrPoweredOff)
			}
			s.card.SetFault(driverstest.Healthy)
			if round == 2 { // its user is faster
				if _, err := r.PowerOn(t.Context()); err != nil {
					t.Error(err)
				}
			}
			time.Sleep(10 * time.Second)
			synctest.Wait()
			if n := strings.Count(log.String(), "element answers"); n != 1+round {
				t.Errorf("round %d: answered %d times:\n%s", round, n, log)
			}
		}
		closeAll(t, r, s)
	})
}

// TestRetryingGivenUp: a power on that its user gave up says nothing of the SE,
// and leaves nothing on.
func TestRetryingGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		r, log := retry(t, s)
		synctest.Wait()
		s.card.SetFault(driverstest.Hang)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := r.PowerOn(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v, want %v", err, context.DeadlineExceeded)
		}
		if _, isOpen := s.counts(); isOpen != 0 || strings.Contains(log.String(), "does not answer") {
			t.Errorf("open %d, the log says\n%s", isOpen, log)
		}
		s.card.SetFault(driverstest.Healthy)
		closeAll(t, r, s)
	})
}

// keeper is a chip that keeps PIN states.
type keeper struct{ drivers.SE }

var errKeeps = errors.New("no reset pin")

func (keeper) Keeps() error { return errKeeps }

// TestRetryingKeeps: that a chip keeps PIN states is seen through what tries it.
func TestRetryingKeeps(t *testing.T) {
	r := newRetrying("chip", func() (drivers.SE, io.Closer, error) {
		return keeper{driverstest.NewScripted(driverstest.Options{})}, io.NopCloser(nil), nil
	}, slog.New(slog.DiscardHandler))
	defer func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}()
	if _, err := r.PowerOn(t.Context()); err != nil {
		t.Fatal(err)
	}
	if why := r.Keeps(); !errors.Is(why, errKeeps) {
		t.Errorf("Keeps: %v, want %v", why, errKeeps)
	}
}
