package iso7816_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/cloud-of-se/tses/drivers"
	"github.com/cloud-of-se/tses/drivers/driverstest"
	"github.com/cloud-of-se/tses/drivers/driverstest/cardsim"
	"github.com/cloud-of-se/tses/drivers/iso7816"
)

// openPTY makes a driver on a real tty of the kernel with a card behind it.
func openPTY(t *testing.T, card cardsim.Options) *iso7816.Dev {
	t.Helper()
	pty, err := cardsim.OpenPTY(card)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := pty.Close(); err != nil {
			t.Error(err)
		}
	})
	tty, err := iso7816.OpenTTY(pty.Path())
	if err != nil {
		t.Fatal(err)
	}
	opts := iso7816.DefaultOpts
	opts.NoParity = true
	opts.Latency = 2 * time.Second // the machine may be busy
	d, err := iso7816.New(tty, pty, pty, &opts)
	if err != nil {
		t.Fatal(errors.Join(err, tty.Close()))
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// TestTTY is the whole driver over a tty of the kernel, PPS and change of rate
// included.
func TestTTY(t *testing.T) {
	if testing.Short() {
		t.Skip("in real time")
	}
	for _, tt := range []struct {
		name string
		atr  []byte
	}{
		{"T=0", cardsim.WithTA1(false, 0x97, 0, 0)},
		{"T=0 inverse", cardsim.WithTA1(true, 0x96, 0, 0)},
		{"T=1", cardsim.WithTA1(false, 0x97, 0, 1)},
		{"T=1 inverse, N=255", cardsim.WithTA1(true, 0x97, 255, 1)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := openPTY(t, cardsim.Options{Brain: script(driverstest.TestCard), ATR: tt.atr})
			atr, err := d.PowerOn(t.Context())
			if err != nil || !bytes.Equal(atr[1:], tt.atr[1:]) {
				t.Fatalf("PowerOn: %X, %v; want %X", atr, err, tt.atr)
			}
			for _, n := range []int{0, 1, 10, 200, 255} {
				data := bytes.Repeat([]byte{0xFF}, n) // the byte that PARMRK doubles
				command := append([]byte{0x80, 0xE0, 0, 0}, byte(n))
				command = append(command, data...)
				if n == 0 {
					command = command[:4]
				}
				got := getAll(t, d, command)
				if want := append(data, 0x90, 0); !bytes.Equal(got, want) {
					t.Fatalf("%d bytes: got %X, want %X", n, got, want)
				}
			}
			if _, err := d.Reset(t.Context(), drivers.Warm); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestTTYCancelled: a context ends a call that waits for a card.
func TestTTYCancelled(t *testing.T) {
	card := cardsim.Options{Brain: script(driverstest.T0Card), ATR: cardsim.WithTA1(false, 0x97, 0, 0), Time: thinking}
	d := openPTY(t, card)
	if _, err := d.PowerOn(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	_, err := d.Transmit(ctx, slowCommand)
	if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, drivers.ErrOutcomeUnknown) || time.Since(start) > time.Second {
		t.Errorf("Transmit: %v after %v", err, time.Since(start))
	}
	if _, err := d.PowerOn(t.Context()); err != nil {
		t.Error("after that: ", err)
	}
}

// TestTTYWithoutParity: a line that drops the parity bit is refused.
func TestTTYWithoutParity(t *testing.T) {
	pty, err := cardsim.OpenPTY(cardsim.Options{Brain: script(driverstest.T0Card), ATR: cardsim.WithTA1(false, 0, 0, 0)})
	if err != nil {
		t.Fatal(err)
	}
	defer pty.Close()
	tty, err := iso7816.OpenTTY(pty.Path())
	if err != nil {
		t.Fatal(err)
	}
	defer tty.Close()
	if d, err := iso7816.New(tty, pty, pty, nil); !errors.Is(err, iso7816.ErrUnsupported) {
		t.Errorf("New: %v, %v; want %v", d, err, iso7816.ErrUnsupported)
	} else {
		t.Log(err)
	}
	if _, err := iso7816.OpenTTY("/dev/null"); err == nil {
		t.Error("/dev/null is taken for a serial port")
	}
	if got := fmt.Sprint(tty); got != pty.Path() {
		t.Errorf("String: %s, want %s", got, pty.Path())
	}
}
