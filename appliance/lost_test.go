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

func TestLostState(t *testing.T) {
	c := defaultConfig()
	c.Elements = append(c.Elements, elementConfig{SEID: "chip", Driver: "scripted"})
	state := t.TempDir()
	found := time.Date(2026, 11, 1, 2, 3, 4, 0, time.UTC)
	if err := sdcard.RecordLoss(state, sdcard.Loss{Time: found, Why: "it could not be mounted"}); err != nil {
		t.Fatal(err)
	}
	powerOn := func(seid string) error {
		log := new(logBuffer)
		if err := judgeLoss(c, state, slog.New(slog.NewTextHandler(log, nil))); err != nil {
			t.Fatal(err)
		}
		g, end, err := openElements(c, state, nil, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		defer end()
		s := g.NewSession("test")
		defer s.Close()
		_, _, err = s.PowerOn(t.Context(), seid)
		if lost := strings.Contains(log.String(), "THIS BOX HAS LOST ITS STATE"); lost != (c.AcceptLostState != "2026-11-01T02:03:04Z") {
			t.Errorf("the log: %s", log)
		}
		return err
	}
	for _, accept := range []string{"", "2026-11-01T02:03:05Z"} {
		c.AcceptLostState = accept
		err := powerOn("soft1")
		if !errors.Is(err, drivers.ErrNoCard) || !errors.Is(err, errLostState) || !strings.Contains(err.Error(), `accept_lost_state = "2026-11-01T02:03:04Z"`) {
			t.Errorf("soft1: %v, want that the state is lost", err)
		}
		if err := powerOn("chip"); err != nil {
			t.Errorf("a chip that lost nothing: %v", err)
		}
	}
	c.AcceptLostState = "2026-11-01T02:03:04Z"
	if err := powerOn("soft1"); err != nil {
		t.Errorf("accepted: %v", err)
	}
	if loss, err := sdcard.ReadLoss(state); loss != nil || err != nil {
		t.Errorf("the record is still there: %v, %v", loss, err)
	}
}
