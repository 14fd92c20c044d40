package i2c_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloud-of-se/tses/drivers/driverstest/chipsim"
	"github.com/cloud-of-se/tses/drivers/driverstest/ordeal"
	"github.com/cloud-of-se/tses/drivers/i2c"
)

// TestVariants: chips that want the bus used in unusual ways.
func TestVariants(t *testing.T) {
	for name, tt := range map[string]struct {
		dialect string
		chip    chipsim.Options
	}{
		"says 00 instead of nothing": {i2c.UM11225, chipsim.Options{Family: chipsim.SE050, NoNack: true}},
		"says FF instead of nothing": {i2c.GlobalPlatform, chipsim.Options{Family: chipsim.GP, NoNack: true, IdleByte: 0xFF}},
		"small blocks":               {i2c.GlobalPlatform, chipsim.Options{Family: chipsim.GP, IFSC: 8, MaxIFSD: 16}},
		"long guard times":           {i2c.GlobalPlatform, chipsim.Options{Family: chipsim.GP, Guard: 5 * time.Millisecond, Poll: 20 * time.Millisecond}},
		"sleeps soon":                {i2c.GlobalPlatform, chipsim.Options{Family: chipsim.GP, Sleep: 5 * time.Millisecond, Wake: 300 * time.Microsecond}},
		"needs more time":            {i2c.UM11225, chipsim.Options{Family: chipsim.SE050, BWT: 50 * time.Millisecond, Think: func([]byte) time.Duration { return time.Second }}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tt.chip.Brain = &ordeal.Brain{}
				se, chip := open(t, tt.dialect, tt.chip, false)
				if _, err := se.PowerOn(t.Context()); err != nil {
					t.Fatal(err)
				}
				for i := range 20 {
					time.Sleep(time.Duration(i%3) * 10 * time.Millisecond)
					command := append([]byte{0x80, 0x01, 0, byte(i), 0, 3, 0}, make([]byte, 768)...)
					command = append(command, 2, byte(i))
					answer, err := se.Transmit(t.Context(), command)
					if want := ordeal.Answer(command); err != nil || string(answer) != string(want) {
						t.Fatalf("command %d: %d bytes, %v; want %d bytes", i, len(answer), err, len(want))
					}
				}
				rightful(t, chip)
			})
		})
	}
}

// TestLongWork: a chip that once in a while works for long is not looked at all
// the time, and the next answer is not found late.
func TestLongWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		se, chip := open(t, i2c.UM11225, chipsim.Options{Family: chipsim.SE050, Brain: &ordeal.Brain{}, Think: func(c []byte) time.Duration {
			return time.Duration(c[2]) * time.Second
		}}, false)
		if _, err := se.PowerOn(t.Context()); err != nil {
			t.Fatal(err)
		}
		send := func(seconds byte) (time.Duration, chipsim.Traffic) {
			chip.Traffic()
			start := time.Now()
			if _, err := se.Transmit(t.Context(), []byte{0x80, 0x46, seconds, 0}); err != nil {
				t.Fatal(err)
			}
			return time.Since(start), chip.Traffic()
		}
		send(0)
		took, traffic := send(10)
		if took > 10400*time.Millisecond || traffic.Looks > 2500 {
			t.Errorf("10 s of work: answered after %v with %d looks", took, traffic.Looks)
		}
		if took, _ := send(0); took > 3*time.Millisecond {
			t.Errorf("the next answer took %v", took)
		}
	})
}
