package i2c_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/gpio"

	"github.com/cloud-of-se/tses/drivers"
	"github.com/cloud-of-se/tses/drivers/driverstest/chipsim"
	"github.com/cloud-of-se/tses/drivers/driverstest/ordeal"
	"github.com/cloud-of-se/tses/drivers/i2c"
)

// TestOneBus: chips with different addresses work at the same time.
func TestOneBus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const work = 30 * time.Millisecond
		bus := chipsim.NewI2C(400e3)
		var all sync.WaitGroup
		start := time.Now()
		for n, d := range dialects {
			chip := chipsim.New(chipsim.Options{Family: d.family, Brain: &ordeal.Brain{}, Think: func([]byte) time.Duration { return work }})
			t.Cleanup(func() { rightful(t, chip); chip.Close() })
			at := uint16(0x10 + n)
			bus.Attach(at, chip)
			opts := i2c.DefaultOpts
			opts.Dialect = d.name
			se, err := i2c.New(bus, at, &opts)
			if err != nil {
				t.Fatal(err)
			}
			all.Go(func() { use(t, se, byte(n)) })
		}
		all.Wait()
		if took := time.Since(start); took > 20*work {
			t.Errorf("four chips with ten commands each took %v: they wait for each other", took)
		}
	})
}

func use(t *testing.T, se drivers.SE, n byte) {
	if _, err := se.PowerOn(t.Context()); err != nil {
		t.Error(err)
		return
	}
	for i := range 10 {
		command := []byte{0x80, n, byte(i), 0, 16}
		answer, err := se.Transmit(t.Context(), command)
		if want := ordeal.Answer(command); err != nil || string(answer) != string(want) {
			t.Errorf("%s: got %X, %v; want %X", se, answer, err, want)
		}
	}
}

// TestInterruptLine: with the line there is one look for each answer.
func TestInterruptLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chip := chipsim.New(chipsim.Options{Family: chipsim.SE050, Brain: &ordeal.Brain{}, Think: func(c []byte) time.Duration {
			return time.Duration(c[2]) * 7 * time.Millisecond
		}})
		t.Cleanup(chip.Close)
		bus := chipsim.NewI2C(400e3)
		bus.Attach(addr, chip)
		pin := chipsim.NewReadyPin(chip)
		opts := i2c.DefaultOpts
		opts.Interrupt, opts.InterruptActive = pin, gpio.High
		se, err := i2c.New(bus, addr, &opts)
		if err != nil {
			t.Fatal(err)
		}
		use(t, se, 1)
		if got := chip.Traffic(); got.Looks != 0 {
			t.Errorf("%d looks that found nothing, with %d accesses", got.Looks, got.Accesses)
		}
		if pin.Waits() == 0 {
			t.Error("it did not wait for the line")
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		start := time.Now()
		if _, err := se.Transmit(ctx, []byte{0x80, 1, 99, 0}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("with a deadline: %v", err)
		}
		if took := time.Since(start); took > 80*time.Millisecond {
			t.Errorf("a deadline of 50 ms was noticed after %v", took)
		}
	})
}

// TestNobodyThere and away: what a user of a board sees.
func TestNobodyThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := chipsim.NewI2C(400e3)
		se, err := i2c.New(bus, addr, &i2c.DefaultOpts)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := se.PowerOn(t.Context()); !errors.Is(err, drivers.ErrNoCard) {
			t.Errorf("PowerOn without a chip: %v, want %v", err, drivers.ErrNoCard)
		}
		chip := chipsim.New(chipsim.Options{Family: chipsim.SE050, Brain: &ordeal.Brain{}})
		t.Cleanup(chip.Close)
		bus.Attach(addr, chip)
		use(t, se, 1)
		bus.Attach(addr, nil)
		if _, err := se.Transmit(t.Context(), []byte{0x80, 1, 1, 1}); !errors.Is(err, drivers.ErrRemoved) || errors.Is(err, drivers.ErrOutcomeUnknown) {
			t.Errorf("Transmit after the chip was taken away: %v, want %v", err, drivers.ErrRemoved)
		}
		bus.Attach(addr, chip)
		use(t, se, 2)
	})
}

// TestAnswerToReset: a chip without an answer to reset gets one with its
// historical bytes.
func TestAnswerToReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for dialect, want := range map[string]string{
			i2c.UM11225:        "\x3B\x8A\x01JCOP4 ATPO\x7A",
			i2c.GlobalPlatform: "\x3B\x84\x01T=1'\xFA",
			i2c.IoSE:           "\x3B\x04grid",
		} {
			for _, d := range dialects {
				if d.name != dialect {
					continue
				}
				se, _ := open(t, dialect, chipsim.Options{Family: d.family, Brain: &ordeal.Brain{}}, false)
				if atr, err := se.PowerOn(t.Context()); err != nil || string(atr[:len(atr)-1]) != want[:len(want)-1] {
					t.Errorf("%s: %X, %v; want %X", dialect, atr, err, want)
				}
				if len(se.Parameters()) == 0 {
					t.Errorf("%s: no parameters", dialect)
				}
				if err := se.Halt(); err != nil {
					t.Errorf("%s: Halt: %v", dialect, err)
				}
			}
		}
	})
}

func TestOptions(t *testing.T) {
	bus := chipsim.NewI2C(400e3)
	for _, tt := range []struct {
		addr   uint16
		change func(o *i2c.Opts)
		want   string
	}{
		{0x03, func(*i2c.Opts) {}, "the address is not within"},
		{0x90, func(*i2c.Opts) {}, "the address is not within"},
		{0x48, func(o *i2c.Opts) { o.Dialect = "st54" }, `unknown dialect "st54"`},
		{0x48, func(o *i2c.Opts) { o.Guard = -1 }, "negative duration"},
		{0x48, func(o *i2c.Opts) {
			o.Interrupt = chipsim.NewReadyPin(nil) // active high
			o.InterruptActive = gpio.Low
		}, "interrupt pin READY"},
	} {
		opts := i2c.DefaultOpts
		tt.change(&opts)
		if _, err := i2c.New(bus, tt.addr, &opts); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("got %v, want %q", err, tt.want)
		}
	}
	se, err := i2c.New(bus, 0x48, &i2c.DefaultOpts)
	if err != nil || se.String() != "i2c(I2C-sim, 0x48)" {
		t.Errorf("got %v, %v", se, err)
	}
}
