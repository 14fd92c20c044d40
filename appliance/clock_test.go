package main

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloud-of-se/tses/access"
	"github.com/cloud-of-se/tses/gokrazy/sdcard"
)

// What the first process tells is what the gate judges by, and the log hears of
// each change once.
func TestBoxClock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "clock")
	t.Setenv(sdcard.ClockEnv, path)
	synctest.Test(t, func(t *testing.T) {
		log := new(bytes.Buffer)
		passed := time.Date(1999, 5, 1, 2, 3, 4, 0, time.UTC)
		b := newBoxClock(slog.New(slog.NewTextHandler(log, nil)))
		if c := b.now(); c.Proven || !c.Evidence.IsZero() || !c.Now.Equal(time.Now()) {
			t.Errorf("without a file: %+v", c)
		}
		for _, tt := range []struct {
			told   sdcard.Clock
			proven bool
			want   time.Time
			logs   string
		}{
			{sdcard.Clock{State: sdcard.ClockFloor, Evidence: passed}, false, passed, "the clock is not set"},
			{sdcard.Clock{State: sdcard.ClockTold, Evidence: passed}, false, passed, "the clock is not proven"},
			{sdcard.Clock{State: sdcard.ClockSet, Evidence: passed.Add(time.Hour)}, true, passed.Add(time.Hour), "the clock is set"},
			{sdcard.Clock{State: sdcard.ClockSet, Evidence: passed}, true, passed.Add(time.Hour), "the clock is set"},
			{sdcard.Clock{State: sdcard.ClockTold, Evidence: passed.Add(2 * time.Hour)}, false, passed.Add(2 * time.Hour), "the clock is set"},
		} {
			if err := sdcard.WriteClock(path, tt.told); err != nil {
				t.Fatal(err)
			}
			time.Sleep(clockEvery)
			for range 3 {
				if c := b.now(); c.Proven != tt.proven || !c.Evidence.Equal(tt.want) {
					t.Errorf("told %v: %+v", tt.told, c)
				}
			}
			if n := strings.Count(log.String(), tt.logs); n != 1 {
				t.Errorf("told %v: %q is %d times in the log:\n%s", tt.told, tt.logs, n, log)
			}
		}
	})
	os.Unsetenv(sdcard.ClockEnv)
	if newBoxClock(slog.New(slog.DiscardHandler)) != nil {
		t.Error("a machine that is no box judges as one")
	}
}

// Of the certificates of clients the first process sees those that say more of the
// time than it knows, and that the owner has signed.
func TestShow(t *testing.T) {
	owner, err := access.CreateAuthority(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	other, err := access.CreateAuthority(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	leaf := func(a *access.Authority) *x509.Certificate {
		_, text, err := a.Issue(access.Order{Name: "alice", Planes: access.User, Life: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(text)
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		return cert
	}
	path, state := filepath.Join(t.TempDir(), "clock"), t.TempDir()
	t.Setenv(sdcard.ClockEnv, path)
	told := func(evidence time.Time) *boxClock {
		if err := sdcard.WriteClock(path, sdcard.Clock{State: sdcard.ClockFloor, Evidence: evidence}); err != nil {
			t.Fatal(err)
		}
		return newBoxClock(slog.New(slog.DiscardHandler))
	}
	ours := leaf(owner)
	for _, tt := range []struct {
		name     string
		leaf     *x509.Certificate
		evidence time.Time
		shown    bool
	}{
		{"of another CA", leaf(other), ours.NotBefore.Add(-time.Hour), false},
		{"that says nothing new", ours, ours.NotBefore, false},
		{"that does", ours, ours.NotBefore.Add(-time.Second), true},
	} {
		s := newShower(state, owner.Certificate(), told(tt.evidence), slog.New(slog.DiscardHandler))
		s.show(tt.leaf)
		got, err := os.ReadFile(filepath.Join(state, sdcard.ShownFile))
		if (err == nil) != tt.shown || tt.shown && !bytes.Equal(got, tt.leaf.Raw) {
			t.Errorf("one %s: %d bytes, %v", tt.name, len(got), err)
		}
		if tt.shown {
			if err := os.Remove(filepath.Join(state, sdcard.ShownFile)); err != nil {
				t.Fatal(err)
			}
			s.show(tt.leaf)
			if _, err := os.Stat(filepath.Join(state, sdcard.ShownFile)); err == nil {
				t.Error("it is written again and again")
			}
		}
	}
}
