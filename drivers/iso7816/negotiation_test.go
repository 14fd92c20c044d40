package iso7816_test

import (
	"errors"
	"math"
	"testing"
	"testing/synctest"

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
