package main

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/cloud-of-se/tses/drivers"
	"github.com/cloud-of-se/tses/gokrazy/sdcard"
)

// A loss that the first process tells of, or that this TSES has claimed, puts
// software SEs out of service, and nothing else.
func TestLostState(t *testing.T) {
	c := defaultConfig()
	c.Elements = append(c.Elements, elementConfig{SEID: "chip", Driver: "scripted"})
	found := time.Date(2026, 11, 1, 2, 3, 4, 0, time.UTC)
	loss := sdcard.Loss{Time: found, Why: "it could not be mounted"}
	for name, tt := range map[string]struct {
		told, claimed bool
	}{"told": {told: true}, "claimed": {claimed: true}, "none": {}} {
		t.Run(name, func(t *testing.T) {
			state, run := t.TempDir(), t.TempDir()
			t.Setenv(sdcard.LossEnv, run)
			for dir, is := range map[string]bool{run: tt.told, state: tt.claimed} {
				if is {
					if err := sdcard.RecordLoss(dir, loss); err != nil {
						t.Fatal(err)
					}
				}
			}
			lost := tt.told || tt.claimed
			log := new(logBuffer)
			c.AcceptLostState = "2026-11-01T02:03:05Z"
			if err := judgeLoss(c, state, slog.New(slog.NewTextHandler(log, nil))); err != nil {
				t.Fatal(err)
			}
			for _, want := range []string{"THIS BOX HAS LOST ITS STATE", "of another loss"} {
				if strings.Contains(log.String(), want) != lost {
					t.Errorf("%q in the log: %v, want %v", want, !lost, lost)
				}
			}
			g, end, err := openElements(c, state, nil, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			defer end()
			s := g.NewSession("test")
			defer s.Close()
			_, _, err = s.PowerOn(t.Context(), "soft1")
			if lost && (!errors.Is(err, drivers.ErrNoCard) || !errors.Is(err, errLostState) || !strings.Contains(err.Error(), `accept_lost_state = "2026-11-01T02:03:04Z"`)) {
				t.Errorf("soft1: %v, want that the state is lost", err)
			} else if !lost && err != nil {
				t.Errorf("soft1: %v", err)
			}
			if _, _, err := s.PowerOn(t.Context(), "chip"); err != nil {
				t.Errorf("a chip that lost nothing: %v", err)
			}
		})
	}
}
