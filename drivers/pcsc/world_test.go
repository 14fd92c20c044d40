package pcsc

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloud-of-se/tses/drivers"
)

var (
	simATR   = []byte{0x3B, 0x80, 0x01, 0x81}
	tokenATR = []byte{0x3B, 0x81, 0x01, 0x55, 0xD5}
)

// shelf is an inventory.
type shelf struct {
	mu  sync.Mutex
	ses map[string]drivers.SE
	log []string
}

func newShelf() *shelf { return &shelf{ses: make(map[string]drivers.SE)} }

func (s *shelf) Add(seid string, se drivers.SE) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ses[seid] != nil {
		return fmt.Errorf("%s is there", seid)
	}
	s.ses[seid] = se
	s.log = append(s.log, "+"+seid)
	return nil
}

func (s *shelf) Remove(seid string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ses[seid] == nil {
		return errors.New(seid + " is not there")
	}
	delete(s.ses, seid)
	s.log = append(s.log, "-"+seid)
	return nil
}

func (s *shelf) seids() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.ses))
}

// events are what came, with a '+', and went, with a '-'.
func (s *shelf) events() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.log)
}

func (s *shelf) get(seid string) drivers.SE {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ses[seid]
}

// startHost watches until the test ends.
func startHost(t *testing.T, h *Host) {
	t.Helper()
	h.Start(t.Context())
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
}

// testLog sends what a host logs to the test's log.
func testLog(t *testing.T) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), nil))
}

// eventually waits for what pcscd notices by and by.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not after 20 s: %s", what)
		}
	}
}

// powersOn tells whether an SE answers a power on, and leaves it on.
func powersOn(t testing.TB, se drivers.SE) bool {
	_, err := se.PowerOn(t.Context())
	return err == nil
}

// seidsAre waits until the found SEs have SEIDs of these readers and cards.
func seidsAre(t *testing.T, s *shelf, want ...string) {
	t.Helper()
	slices.Sort(want)
	eventually(t, "SEIDs "+strings.Join(want, " "), func() bool { return slices.Equal(s.seids(), want) })
}
