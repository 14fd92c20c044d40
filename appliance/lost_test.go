package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cloud-of-se/tses/access"
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

// A box whose registry of credentials is gone or damaged serves, refuses who
// may have been revoked, and has a loss that its owner can accept.
func TestBoxWithoutRegistry(t *testing.T) {
	const file = "credentials.json"
	for name, damage := range map[string]func(path string) error{
		"gone":    os.Remove,
		"damaged": func(path string) error { return os.WriteFile(path, []byte("[{"), 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(sdcard.LossEnv, t.TempDir())
			c := newCard(t, "[[element]]\nseid = \"soft1\"\ndriver = \"softse\"\n")
			state := filepath.Join(t.TempDir(), "tses")
			t.Run("first life", func(t *testing.T) { c.start(t, state) })
			if err := damage(filepath.Join(state, file)); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				t.Run("next life", func(t *testing.T) {
					client, err := c.dial(t, c.start(t, state), "tses-1a2b.local", c.owner)
					if err != nil {
						t.Fatal(err)
					}
					defer client.Close()
					if _, err := client.PowerOn(t.Context(), "soft1"); err == nil || !strings.Contains(err.Error(), "accept_lost_state") {
						t.Errorf("PowerOn = %v, want that the state is lost", err)
					}
				})
			}
			if l, err := sdcard.ReadLoss(state); l == nil || err != nil || !strings.Contains(l.Why, "revoked credentials") {
				t.Errorf("the claim: %+v, %v", l, err)
			}
		})
	}
}

// The key of sealed states is never replaced by another: that would open none.
func TestKeyIsGone(t *testing.T) {
	for name, damage := range map[string]func(path string) error{
		"gone": os.Remove,
		"cut":  func(path string) error { return os.Truncate(path, 3) },
	} {
		for _, onBox := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, box %v", name, onBox), func(t *testing.T) {
				state := t.TempDir()
				if onBox {
					t.Setenv(sdcard.LossEnv, t.TempDir())
				}
				open := func(seid string) error {
					se, end, err := openSoftSE(state, elementConfig{SEID: seid}, slog.New(slog.DiscardHandler))
					if err != nil {
						return err
					}
					_, err = se.PowerOn(t.Context())
					return errors.Join(err, end.Close())
				}
				if err := open("soft1"); err != nil {
					t.Fatal(err)
				}
				path := filepath.Join(state, stateKeyFile)
				if err := damage(path); err != nil {
					t.Fatal(err)
				}
				for _, seid := range []string{"soft1", "soft2"} {
					if err := open(seid); err == nil || errors.Is(err, errLostState) != onBox {
						t.Errorf("%s: %v, want that the state is lost: %v", seid, err, onBox)
					}
				}
				if info, err := os.Stat(path); err == nil && info.Size() > 3 {
					t.Error("another key was made")
				}
				if l, err := sdcard.ReadLoss(state); (l != nil) != onBox || err != nil {
					t.Errorf("the claim: %v, %v", l, err)
				}
			})
		}
	}
}

// A software SE of a box whose sealed state is gone or damaged is lost, for
// which there is a cure; the others serve on.
func TestElementIsLost(t *testing.T) {
	for name, damage := range map[string]func(path string) error{
		"gone": os.Remove,
		"cut":  func(path string) error { return os.Truncate(path, 100) },
	} {
		t.Run(name, func(t *testing.T) {
			state := t.TempDir()
			t.Setenv(sdcard.LossEnv, t.TempDir())
			open := func(seid string) error {
				se, end, err := openSoftSE(state, elementConfig{SEID: seid}, slog.New(slog.DiscardHandler))
				if err != nil {
					return err
				}
				_, err = se.PowerOn(t.Context())
				return errors.Join(err, end.Close())
			}
			for _, seid := range []string{"soft1", "soft2"} {
				if err := open(seid); err != nil {
					t.Fatal(err)
				}
			}
			if err := damage(filepath.Join(state, elementsDir, "soft1.state")); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if err := open("soft1"); !errors.Is(err, errLostState) {
					t.Errorf("soft1: %v, want that its state is lost", err)
				}
				if err := open("soft2"); err != nil {
					t.Errorf("soft2: %v", err)
				}
			}
			log := new(logBuffer)
			if err := judgeLoss(defaultConfig(), state, slog.New(slog.NewTextHandler(log, nil))); err != nil || !strings.Contains(log.String(), "seid=[soft1]") {
				t.Errorf("the log: %s, %v", log, err)
			}
		})
	}
}

// An update on trial claims no loss, and renews nothing: it may be what is wrong.
func TestNoLossOnTrial(t *testing.T) {
	dir := t.TempDir()
	t.Setenv(sdcard.LossEnv, dir)
	t.Setenv(sdcard.SlotsEnv, filepath.Join(dir, "slots"))
	log := slog.New(slog.DiscardHandler)
	for _, trial := range []bool{true, false} {
		if err := sdcard.WriteSlots(filepath.Join(dir, "slots"), sdcard.Slots{Trial: trial}); err != nil {
			t.Fatal(err)
		}
		state := t.TempDir()
		claimLoss(state, "a mistake", log)
		if l, err := sdcard.ReadLoss(state); (l == nil) != trial || err != nil {
			t.Errorf("trial %v: %v, %v", trial, l, err)
		}
		c := newCard(t, "")
		if err := os.WriteFile(filepath.Join(state, "credentials.json"), []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, lock, err := openBox(flags{box: c.dir, state: state}, log)
		if err == nil {
			lock.Close()
		}
		if errors.Is(err, access.ErrRegistry) != trial {
			t.Errorf("trial %v: %v", trial, err)
		}
	}
}
