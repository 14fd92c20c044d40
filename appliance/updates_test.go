package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloud-of-se/tses/access"
	"github.com/cloud-of-se/tses/drivers"
	"github.com/cloud-of-se/tses/drivers/driverstest"
	"github.com/cloud-of-se/tses/gokrazy/sdcard"
	"github.com/cloud-of-se/tses/grid"
	"github.com/cloud-of-se/tses/stp/racs"
	"github.com/cloud-of-se/tses/update"
	updater "github.com/cloud-of-se/tses/update/client"
)

func TestMemory(t *testing.T) {
	g := grid.New()
	here := driverstest.NewScripted(driverstest.Options{})
	for seid, se := range map[string]drivers.SE{"here": here, "used": driverstest.NewScripted(driverstest.Options{}), "gone": absent{"gone", errors.New("nobody")}} {
		if err := g.Add(seid, se); err != nil {
			t.Fatal(err)
		}
	}
	user := g.NewSession("user")
	defer user.Close()
	if _, _, err := user.PowerOn(t.Context(), "used"); err != nil {
		t.Fatal(err)
	}
	m := &memory{path: filepath.Join(t.TempDir(), "before"), grid: g, log: slog.New(slog.DiscardHandler), names: []string{"here", "used", "gone"}}
	if err := m.missing(t.Context()); err != nil {
		t.Errorf("nothing is written down: %v", err)
	}
	if err := m.keep(t.Context()); err != nil {
		t.Fatal(err)
	}
	want, err := m.read()
	if slices.Sort(want); err != nil || !slices.Equal(want, []string{"here", "used"}) {
		t.Errorf("kept %q, %v", want, err)
	}
	if here.On() {
		t.Error("the SE is left on")
	}
	if err := m.missing(t.Context()); err != nil {
		t.Errorf("all are there: %v", err)
	}
	if err := g.Remove(t.Context(), "here"); err != nil {
		t.Fatal(err)
	}
	also := m.compare(t.Context())
	for also() == nil || !errors.Is(also(), errMissing) {
		time.Sleep(time.Millisecond)
	}
	if err := also(); !strings.Contains(err.Error(), "here") {
		t.Errorf("got %v", err)
	}
	if err := g.Add("here", here); err != nil {
		t.Fatal(err)
	}
	for also() != nil {
		time.Sleep(time.Millisecond)
	}
}

// What an update's configuration does not name any more is not missing.
func TestMemoryOfRetiredSEs(t *testing.T) {
	c, err := loadConfig(writeConfig(t, "[[element]]\nseid = \"sim1\"\ndriver = \"softse\"\naliases = [\"phone\"]\n[[element]]\nseid = \"sim2\"\ndriver = \"softse\"\n"))
	if err != nil {
		t.Fatal(err)
	}
	const before = `["acs-acr39u-0123abcd","old","old-alias","phone","sim1"]`
	for _, tt := range []struct {
		name  string
		grid  []string
		found bool
		want  string // what is missing
	}{
		{"all that is left", []string{"sim1", "phone"}, false, ""},
		{"one that is left is not there", []string{"sim1"}, false, "phone"},
		{"none is there", nil, false, "phone, sim1"},
		{"a card in a reader is not there", []string{"sim1", "phone"}, true, "acs-acr39u-0123abcd"},
		{"a card in a reader is there", []string{"sim1", "phone", "acs-acr39u-0123abcd"}, true, ""},
	} {
		g := grid.New()
		for _, seid := range tt.grid {
			if err := g.Add(seid, driverstest.NewScripted(driverstest.Options{})); err != nil {
				t.Fatal(err)
			}
		}
		var said bytes.Buffer
		m := &memory{path: filepath.Join(t.TempDir(), "before"), grid: g, log: slog.New(slog.NewTextHandler(&said, nil)), names: named(c), found: tt.found}
		if err := os.WriteFile(m.path, []byte(before), 0o600); err != nil {
			t.Fatal(err)
		}
		err := m.missing(t.Context())
		if got := strings.TrimPrefix(fmt.Sprint(err), errMissing.Error()+": "); (err == nil) != (tt.want == "") || err != nil && got != tt.want {
			t.Errorf("%s: %v, want %q missing", tt.name, err, tt.want)
		}
		m.sayRetired()
		if got := said.String(); !strings.Contains(got, "old, old-alias") || strings.Contains(got, "sim1") {
			t.Errorf("%s: the log says %q", tt.name, got)
		}
	}
}

// An update that leaves the box without a network is not well, however well it
// is otherwise: nobody could send the next one.
func TestTrialWantsTheNetwork(t *testing.T) {
	dir := t.TempDir()
	slots, network := filepath.Join(dir, "slots"), filepath.Join(dir, "network")
	if err := sdcard.WriteSlots(slots, sdcard.Slots{Trial: true}); err != nil {
		t.Fatal(err)
	}
	u := &updates{file: slots, log: slog.New(slog.DiscardHandler), memory: &memory{
		path: filepath.Join(dir, "before"), grid: grid.New(), log: slog.New(slog.DiscardHandler),
	}}
	well := u.trial(t.Context())
	await := func(want error) {
		t.Helper()
		for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
			got := well()
			if want == nil && got == nil || want != nil && errors.Is(got, want) {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("the trial says %v, want %v", got, want)
			}
		}
	}
	await(nil) // nobody tells of the network
	t.Setenv(sdcard.NetworkEnv, network)
	await(errNotConnected)
	at := &sdcard.Connected{Interface: "eth0", Address: netip.MustParsePrefix("192.168.1.20/24")}
	if err := sdcard.WriteConnected(network, at); err != nil {
		t.Fatal(err)
	}
	await(nil)
	if err := os.WriteFile(network, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	await(sdcard.ErrConnected)
}

// A box whose slots are files takes an update of its owner.
func TestBoxTakesUpdates(t *testing.T) {
	c, dir := newCard(t, ""), t.TempDir()
	slot, file, state := filepath.Join(dir, "slot"), filepath.Join(dir, "slots"), filepath.Join(dir, "state")
	if err := os.WriteFile(slot, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(c.dir, "build"), []byte(`{"time":"2026-11-01T00:00:00Z","version":"v1"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := sdcard.WriteSlots(file, sdcard.Slots{Running: 1, Other: slot}); err != nil {
		t.Fatal(err)
	}
	t.Setenv(sdcard.SlotsEnv, file)
	addr := c.start(t, state)
	_, text, err := c.owner.Issue(access.Order{Name: "admin", Planes: access.Administrative, Life: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	admin, err := tls.X509KeyPair(text, text)
	if err != nil {
		t.Fatal(err)
	}
	config := racs.ClientConfig([]*x509.Certificate{c.owner.Certificate()}, admin, "tses-1a2b")
	put := func(built time.Time) (update.Status, error) {
		var b bytes.Buffer
		_, err = update.Write(&b, update.Order{
			Box: "tses-1a2b", Version: "v2", Built: built.Unix(), Root: bytes.NewReader(make([]byte, 4096)), Owner: c.owner.Signer(),
		})
		if err != nil {
			t.Fatal(err)
		}
		return updater.Put(t.Context(), addr, config, updater.Options{}, update.Asked{}, bytes.NewReader(b.Bytes()), func(update.Progress) {})
	}
	if _, err := put(time.Now().Add(48 * time.Hour)); err == nil || !strings.Contains(err.Error(), update.ErrAhead.Error()) {
		t.Errorf("an update of the day after tomorrow: %v", err)
	}
	s, err := put(time.Date(2026, 11, 2, 0, 0, 0, 0, time.UTC))
	if err != nil || s.Last == nil || s.Last.State != "armed" || s.Running.Version != "v1" || s.Start == "" {
		t.Errorf("got %+v, %v", s, err)
	}
	b, err := access.OpenBox(c.dir, state)
	if err != nil {
		t.Fatal(err)
	}
	u, err := newUpdates(flags{box: c.dir, state: state}, box{b}, grid.New(), slog.New(slog.DiscardHandler))
	if err != nil || !slices.Equal(u.memory.names, []string{"soft1", "soft2"}) {
		t.Errorf("it will look for %+v, %v", u, err)
	}
	kept, err := os.ReadFile(filepath.Join(state, "before-update"))
	if err != nil || strings.TrimSpace(string(kept)) != `["soft1","soft2"]` {
		t.Errorf("SEs before the update: %s, %v", kept, err)
	}
}

// What the clock says counts once somebody has told it.
func TestNow(t *testing.T) {
	path := filepath.Join(t.TempDir(), "clock")
	t.Setenv(sdcard.ClockEnv, path)
	log := slog.New(slog.DiscardHandler)
	for _, tt := range []struct {
		state sdcard.ClockState
		known bool
	}{{"", false}, {sdcard.ClockFloor, false}, {sdcard.ClockTold, true}, {sdcard.ClockSet, true}} {
		if tt.state != "" {
			if err := sdcard.WriteClock(path, sdcard.Clock{State: tt.state}); err != nil {
				t.Fatal(err)
			}
		}
		if got := newBoxClock(log).forUpdates(); got.IsZero() == tt.known {
			t.Errorf("state %q: %v, want it known: %v", tt.state, got, tt.known)
		}
	}
	os.Unsetenv(sdcard.ClockEnv)
	if newBoxClock(log).forUpdates().IsZero() {
		t.Error("a machine that is no box does not know the time")
	}
}
