package iso7816_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/cloud-of-se/tses/drivers"
	"github.com/cloud-of-se/tses/drivers/driverstest"
	"github.com/cloud-of-se/tses/drivers/driverstest/cardsim"
	"github.com/cloud-of-se/tses/drivers/iso7816"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// open makes a driver on a simulated slot that must not be misused.
func open(t *testing.T, simulated cardsim.Options, opts *iso7816.Opts) (*iso7816.Dev, *cardsim.Slot) {
	t.Helper()
	slot, err := cardsim.New(simulated)
	if err != nil {
		t.Fatal(err)
	}
	d, err := iso7816.New(slot, slot, slot, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		for _, v := range slot.Violations() {
			t.Error("the driver breaks ISO/IEC 7816-3: ", v)
		}
	})
	return d, slot
}

// getAll follows 61XX.
func getAll(t *testing.T, d *iso7816.Dev, command []byte) []byte {
	t.Helper()
	got, err := d.Transmit(t.Context(), command)
	if err == nil && len(got) == 2 && got[0] == 0x61 {
		got, err = d.Transmit(t.Context(), []byte{0, 0xC0, 0, 0, got[1]})
	}
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// slowCommand takes the card 30 s, which the brain does not wait for.
var slowCommand = []byte{0x80, 0xDD, 0x75, 0x30}

// script is a brain with the script of package driverstest.
func script(card driverstest.Card) *driverstest.Scripted {
	return driverstest.NewScripted(driverstest.Options{Card: card,
		Answer: func(_ context.Context, command []byte) ([]byte, error, bool) {
			return []byte{0x90, 0}, nil, bytes.HasPrefix(command, slowCommand)
		}})
}

func thinking(command []byte) time.Duration {
	if bytes.HasPrefix(command, slowCommand) {
		return 30 * time.Second
	}
	return 0
}

func exchange(t *testing.T, name, command string, want ...string) driverstest.Exchange {
	return driverstest.Exchange{Name: name, Command: unhex(t, command), Want: unhex(t, strings.Join(want, ""))}
}

func pattern(n int) string { return hex.EncodeToString(driverstest.Pattern(n)) }

// TestConformance runs the body of all drivers on T=0 and T=1, in both
// conventions, with and without PPS.
func TestConformance(t *testing.T) {
	t0 := []driverstest.Exchange{
		exchange(t, "case 1", "805A6A82", "6A82"),
		exchange(t, "case 2", "8010000808", pattern(8), "9000"),
		exchange(t, "case 2, 256", "8010010000", pattern(256), "9000"),
		exchange(t, "case 2, wrong Le", "8010000409", "6C04"),
		exchange(t, "the right Le", "8010000404", pattern(4), "9000"),
		exchange(t, "case 3", "00D60000 04 01020304", "9000"),
		exchange(t, "case 3, 255", "00D60000 FF"+pattern(255), "9000"),
		exchange(t, "case 4", "80E00000 04 01020304 00", "6104"),
		exchange(t, "GET RESPONSE", "00C0000004", "01020304 9000"),
	}
	t1 := []driverstest.Exchange{
		exchange(t, "case 1", "805A6A82", "6A82"),
		exchange(t, "case 2 short", "00B0000008", pattern(8), "9000"),
		exchange(t, "case 2 short, 256", "00B0000000", pattern(256), "9000"),
		exchange(t, "case 3 short", "00D60000 04 01020304", "9000"),
		exchange(t, "case 4 short", "80E00000 04 01020304 00", "01020304 9000"),
		exchange(t, "case 2 extended", "00B00000 0003E8", pattern(1000), "9000"),
		exchange(t, "case 3 extended", "00D60000 000400"+pattern(1024), "9000"),
		exchange(t, "case 4 extended", "80E00000 000400"+pattern(1024)+"0000", pattern(1024), "9000"),
	}
	longest := append(t1[:5:5],
		exchange(t, "case 2 extended", "00B00000000000", pattern(65536), "9000"),
		exchange(t, "case 4 extended", "80E00000 00FFFF"+pattern(65535)+"0000", pattern(65535), "9000"))
	for _, tt := range []struct {
		name   string
		brain  driverstest.Card
		atr    []byte
		single bool
		do     []driverstest.Exchange
		deaf   bool
	}{
		{"T=0", driverstest.T0Card, cardsim.WithTA1(false, 0, 0, 0), false, t0, false},
		{"T=0 inverse", driverstest.T0Card, cardsim.WithTA1(true, 0, 0, 0), false, t0, false},
		{"T=0 inverse, TA1 96, byte by byte", driverstest.T0Card, cardsim.WithTA1(true, 0x96, 0, 0), true, t0, false},
		{"T=0, TA1 18, N 3", driverstest.T0Card, cardsim.WithTA1(false, 0x18, 3, 0), false, t0, false},
		{"T=1", driverstest.TestCard, cardsim.WithTA1(false, 0, 0, 1), false, t1, false},
		{"T=1 inverse", driverstest.TestCard, cardsim.WithTA1(true, 0, 0, 1), false, t1, false},
		{"T=1, TA1 97, N 255", driverstest.TestCard, cardsim.WithTA1(false, 0x97, 255, 1), false, t1, false},
		{"T=1 inverse, TA1 95, N 5", driverstest.TestCard, cardsim.WithTA1(true, 0x95, 5, 1), false, t1, false},
		{"T=0 and T=1, TA1 97", driverstest.TestCard, cardsim.WithTA1(false, 0x97, 0, 0, 1), false, longest, false},
		{"T=0, TA1 96, no echo", driverstest.T0Card, cardsim.WithTA1(false, 0x96, 0, 0), true, t0, true},
		{"T=1, TA1 96, no echo", driverstest.TestCard, cardsim.WithTA1(false, 0x96, 0, 1), false, t1, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var last *driverstest.Scripted
			driverstest.Conformance(t, func(t *testing.T) drivers.SE {
				last = script(tt.brain)
				opts := iso7816.DefaultOpts
				opts.NoEcho = tt.deaf
				d, _ := open(t, cardsim.Options{Brain: last, ATR: tt.atr, Single: tt.single, Time: thinking, NoEcho: tt.deaf}, &opts)
				return d
			}, driverstest.Probe{
				Exchanges: tt.do, Bubble: true,
				Executed: func() int64 { return last.Counts().Commands },
				Slow:     slowCommand, SlowTime: 30 * time.Second,
			})
		})
	}
}
