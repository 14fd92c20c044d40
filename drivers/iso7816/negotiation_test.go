package iso7816_test

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloud-of-se/tses/apdu"
	"github.com/cloud-of-se/tses/drivers"
	"github.com/cloud-of-se/tses/drivers/driverstest"
	"github.com/cloud-of-se/tses/drivers/driverstest/cardsim"
	"github.com/cloud-of-se/tses/drivers/iso7816"
	"periph.io/x/conn/v3/physic"
)

// specific is an answer to reset with TA(2).
func specific(t *testing.T, ta1, ta2 byte, protocol int) []byte {
	t.Helper()
	a := apdu.NewATR([]byte("spec"), protocol)
	a.Groups = []apdu.InterfaceGroup{{TA: apdu.Interface(ta1)}, {T: protocol, TA: apdu.Interface(ta2)}}
	b, err := a.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// cardem is the answer to reset of osmo-simtrace2's cardem, where nobody gives it
// another: it offers T=0 and T=1, confirms a PPS for either, and speaks T=0.
func cardem(t *testing.T) []byte { return unhex(t, "3B8080811FC759") }

// withClass is an answer to reset with a first TA for T=15.
func withClass(t *testing.T, class byte) []byte {
	t.Helper()
	a := apdu.NewATR(nil, 0)
	a.Groups = []apdu.InterfaceGroup{{TA: apdu.Interface(0x94)}, {T: 0}, {T: 15, TA: apdu.Interface(class)}}
	b, err := a.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestNegotiation: which protocol is spoken after power on, and how fast.
func TestNegotiation(t *testing.T) {
	plain := cardsim.WithTA1
	const def = 3840000.0 / 372
	for _, tt := range []struct {
		name     string
		card     cardsim.Options
		opts     iso7816.Opts
		rate     float64
		protocol int
		err      error
	}{
		{name: "default", card: cardsim.Options{ATR: plain(false, 0, 0, 0)}, rate: def},
		{name: "TA1 11", card: cardsim.Options{ATR: plain(false, 0x11, 0, 0)}, rate: def},
		{name: "TA1 18", card: cardsim.Options{ATR: plain(false, 0x18, 0, 0)}, rate: 12 * def},
		{name: "TA1 94", card: cardsim.Options{ATR: plain(false, 0x94, 0, 0)}, rate: 60000},
		{name: "TA1 97 T=1", card: cardsim.Options{ATR: plain(false, 0x97, 0, 1)}, rate: 480000, protocol: 1},
		{name: "inverse", card: cardsim.Options{ATR: plain(true, 0x96, 0, 0)}, rate: 240000},
		{name: "reserved TA1", card: cardsim.Options{ATR: plain(false, 0x77, 0, 0)}, rate: def},
		{name: "T=0 and T=1", card: cardsim.Options{ATR: plain(false, 0x95, 0, 0, 1)}, rate: 120000, protocol: 1},
		{name: "T=0 wanted", card: cardsim.Options{ATR: plain(false, 0x95, 0, 0, 1)}, opts: iso7816.Opts{Protocol: iso7816.T0}, rate: 120000},
		{name: "T=0 wanted, T=1 first", card: cardsim.Options{ATR: plain(false, 0, 0, 1, 0)}, opts: iso7816.Opts{Protocol: iso7816.T0}, rate: def},
		{name: "T=1 wanted and not there", card: cardsim.Options{ATR: plain(false, 0, 0, 0)}, opts: iso7816.Opts{Protocol: iso7816.T1}, err: iso7816.ErrUnsupported},
		{name: "slow UART", card: cardsim.Options{ATR: plain(false, 0x97, 0, 0), MaxRate: 250000}, rate: 240000},
		{name: "slow by choice", card: cardsim.Options{ATR: plain(false, 0x97, 0, 0)}, opts: iso7816.Opts{MaxRate: 100000}, rate: 90000},
		{name: "clock too fast for TA1", card: cardsim.Options{ATR: plain(false, 0x96, 0, 0), Clock: 6 * physic.MegaHertz}, rate: 6000000.0 / 372},
		{name: "refused", card: cardsim.Options{ATR: plain(false, 0x96, 0, 0), PPS: cardsim.RefusesRate}, rate: def},
		{name: "refused, T=1", card: cardsim.Options{ATR: plain(true, 0x96, 0, 0, 1), PPS: cardsim.RefusesRate}, rate: def, protocol: 1},
		{name: "silent", card: cardsim.Options{ATR: plain(false, 0x96, 0, 0), PPS: cardsim.Silent}, rate: def},
		{name: "garbled", card: cardsim.Options{ATR: plain(false, 0x96, 0, 0, 1), PPS: cardsim.Garbles}, rate: def},
		{name: "garbled, T=1 wanted", card: cardsim.Options{ATR: plain(false, 0x96, 0, 0, 1), PPS: cardsim.Garbles}, opts: iso7816.Opts{Protocol: iso7816.T1}, err: iso7816.ErrUnsupported},
		{name: "another rate", card: cardsim.Options{ATR: plain(false, 0x96, 0, 0), PPS: cardsim.Lies}, rate: def},
		{name: "confirms T=1 and speaks T=0 alone", card: cardsim.Options{ATR: cardem(t), OnlyT0: true}, rate: def},
		{name: "confirms T=1, T=1 wanted", card: cardsim.Options{ATR: cardem(t), OnlyT0: true}, opts: iso7816.Opts{Protocol: iso7816.T1}, err: drivers.ErrMute},
		{name: "confirms T=1, one attempt", card: cardsim.Options{ATR: cardem(t), OnlyT0: true}, opts: iso7816.Opts{Attempts: 1}, err: drivers.ErrMute},
		{name: "specific", card: cardsim.Options{ATR: specific(t, 0x95, 0x81, 1)}, rate: 120000, protocol: 1},
		{name: "specific, T=0", card: cardsim.Options{ATR: specific(t, 0x13, 0x80, 0)}, rate: 4 * def},
		{name: "specific, implicit", card: cardsim.Options{ATR: specific(t, 0x95, 0x91, 1)}, err: iso7816.ErrUnsupported},
		{name: "specific, too fast, not changeable", card: cardsim.Options{ATR: specific(t, 0x97, 0x80, 0), MaxRate: 250000}, err: iso7816.ErrUnsupported},
		{name: "specific, too fast, changeable", card: cardsim.Options{ATR: specific(t, 0x97, 0x00, 0), Warm: plain(false, 0x97, 0, 0), MaxRate: 250000}, rate: 240000},
		{name: "class", card: cardsim.Options{ATR: withClass(t, 0x03)}, opts: iso7816.Opts{Class: apdu.ClassB}, rate: 60000},
		{name: "wrong class", card: cardsim.Options{ATR: withClass(t, 0x01)}, opts: iso7816.Opts{Class: apdu.ClassB}, err: iso7816.ErrUnsupported},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tt.card.Brain = script(driverstest.TestCard)
				d, slot := open(t, tt.card, &tt.opts)
				_, err := d.PowerOn(t.Context())
				if !errors.Is(err, tt.err) || (err == nil) != (tt.err == nil) {
					t.Fatalf("PowerOn: %v, want %v", err, tt.err)
				}
				if err != nil {
					if _, err := d.Transmit(t.Context(), unhex(t, "805A9000")); !errors.Is(err, drivers.ErrPoweredOff) {
						t.Errorf("Transmit after that: %v, want %v", err, drivers.ErrPoweredOff)
					}
					return
				}
				if rate, protocol := slot.Rate(); math.Abs(rate/tt.rate-1) > 1e-6 || protocol != tt.protocol {
					t.Errorf("%.1f bits/s, T=%d; want %.1f, T=%d", rate, protocol, tt.rate, tt.protocol)
				}
				for range 2 {
					got, err := d.Transmit(t.Context(), unhex(t, "80E00000 04 DEADBEEF"))
					if want := map[int]string{0: "6104", 1: "deadbeef9000"}[tt.protocol]; err != nil || string(got) != string(unhex(t, want)) {
						t.Errorf("Transmit: %X, %v; want %s", got, err, want)
					}
				}
			})
		})
	}
}

// TestMisledOnce: that a card confirms a PPS and does not mean it is found out
// once, not at every reset; and again when another card may be there.
func TestMisledOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		empty := false
		d, _ := open(t, cardsim.Options{Brain: script(driverstest.TestCard), ATR: cardem(t), OnlyT0: true, Empty: func() bool { return empty }}, nil)
		took := func(do func() ([]byte, error)) time.Duration {
			start := time.Now()
			if atr, err := do(); err != nil || !bytes.Equal(atr, cardem(t)) {
				t.Fatalf("%X, %v", atr, err)
			}
			if got := getAll(t, d, unhex(t, "80E00000 04 DEADBEEF")); !bytes.Equal(got, unhex(t, "DEADBEEF9000")) {
				t.Errorf("Transmit: %X", got)
			}
			return time.Since(start)
		}
		powerOn := func() ([]byte, error) { return d.PowerOn(t.Context()) }
		if first := took(powerOn); first < time.Second || first > 20*time.Second {
			t.Errorf("the first power on took %v", first)
		}
		for name, do := range map[string]func() ([]byte, error){
			"power on":   powerOn,
			"warm reset": func() ([]byte, error) { return d.Reset(t.Context(), drivers.Warm) },
			"cold reset": func() ([]byte, error) { return d.Reset(t.Context(), drivers.Cold) },
		} {
			if again := took(do); again > time.Second {
				t.Errorf("the next %s took %v", name, again)
			}
		}
		empty = true
		if _, err := d.PowerOn(t.Context()); !errors.Is(err, drivers.ErrNoCard) {
			t.Errorf("without the card: %v", err)
		}
		empty = false
		if other := took(powerOn); other < time.Second {
			t.Errorf("a card that was put in took %v: T=1 was not tried", other)
		}
	})
}

// TestAnyTCK: an answer to reset whose TCK is wrong, missing or needless is taken
// where that is asked for; else the error says how.
func TestAnyTCK(t *testing.T) {
	good := cardsim.WithTA1(false, 0x95, 0, 1)
	wrong := bytes.Clone(good)
	wrong[len(wrong)-1] ^= 0x40
	onlyT0 := cardsim.WithTA1(false, 0x95, 0, 0)
	inverse := cardsim.WithTA1(true, 0x95, 0, 1)
	for name, tt := range map[string]struct {
		atr, sends []byte
		protocol   int
		hint       bool
	}{
		"wrong":            {good, wrong, 1, true},
		"missing":          {good, good[:len(good)-1], 1, true},
		"missing, inverse": {inverse, inverse[:len(inverse)-1], 1, true},
		"needless":         {onlyT0, append(bytes.Clone(onlyT0), 0x5A), 0, false},
		"right":            {good, nil, 1, false},
		"right, T=0 only":  {onlyT0, nil, 0, false},
		"wrong, T=0 too":   {cardem(t), unhex(t, "3B8080811FC75A"), 1, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				card := cardsim.Options{Brain: script(driverstest.TestCard), ATR: tt.atr, Sends: tt.sends}
				want := tt.atr
				if tt.sends != nil {
					want = tt.sends
					d, _ := open(t, card, nil)
					_, err := d.PowerOn(t.Context())
					if !errors.Is(err, drivers.ErrProtocol) || strings.Contains(err.Error(), "any_tck = true") != tt.hint {
						t.Errorf("PowerOn without the option: %v", err)
					}
				}
				opts := iso7816.DefaultOpts
				opts.AnyTCK = true
				d, slot := open(t, card, &opts)
				if atr, err := d.PowerOn(t.Context()); err != nil || !bytes.Equal(atr, want) {
					t.Fatalf("PowerOn: %X, %v; want %X, as the card sends it", atr, err, want)
				}
				if _, protocol := slot.Rate(); protocol != tt.protocol {
					t.Errorf("T=%d, want T=%d", protocol, tt.protocol)
				}
				if got := getAll(t, d, unhex(t, "80E00000 04 DEADBEEF")); !bytes.Equal(got, unhex(t, "DEADBEEF9000")) {
					t.Errorf("Transmit: %X", got)
				}
			})
		})
	}
}

// TestAbsent: an empty slot, a card that is pulled, one that never answers.
func TestAbsent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		empty := true
		d, _ := open(t, cardsim.Options{Brain: script(driverstest.T0Card), ATR: cardsim.WithTA1(false, 0, 0, 0), Empty: func() bool { return empty }}, nil)
		if _, err := d.PowerOn(t.Context()); !errors.Is(err, drivers.ErrNoCard) {
			t.Errorf("PowerOn of an empty slot: %v, want %v", err, drivers.ErrNoCard)
		}
		empty = false
		if _, err := d.PowerOn(t.Context()); err != nil {
			t.Fatal(err)
		}
		empty = true
		_, err := d.Transmit(t.Context(), unhex(t, "805A9000"))
		if !errors.Is(err, drivers.ErrRemoved) || errors.Is(err, drivers.ErrOutcomeUnknown) {
			t.Errorf("Transmit without the card: %v, want %v alone", err, drivers.ErrRemoved)
		}
		empty = false
		if _, err := d.Transmit(t.Context(), unhex(t, "805A9000")); !errors.Is(err, drivers.ErrPoweredOff) {
			t.Errorf("Transmit to a card that was put in: %v, want %v", err, drivers.ErrPoweredOff)
		}
	})
}
