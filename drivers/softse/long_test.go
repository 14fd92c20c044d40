package softse

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloud-of-se/tses/drivers"
)

// A key generation that is given up, by a bound, by a power off or because the
// client is found gone when it comes to the end, leaves the old key, here and in
// the store; one that somebody waits for replaces it, however the wait ends then.
func TestGenerationThatIsGivenUp(t *testing.T) {
	generate := []byte{0, insGenerate, 1, 0}
	for name, tt := range map[string]struct {
		call func(t *testing.T, c *Card, m *memory) error
		want string // the counter that stands for the key
	}{
		"waited for": {func(t *testing.T, c *Card, _ *memory) error {
			_, err := c.Transmit(t.Context(), generate)
			return err
		}, "019000"},
		"its time is over": {func(t *testing.T, c *Card, _ *memory) error {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err := c.Transmit(ctx, generate)
			if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, drivers.ErrOutcomeUnknown) {
				t.Errorf("it returned %v", err)
			}
			return nil
		}, "009000"},
		"the power goes off": {func(t *testing.T, c *Card, _ *memory) error {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, _ = c.Transmit(ctx, generate) // as above
			return c.PowerOff(t.Context())
		}, "009000"},
		"the client has gone at the end": {func(t *testing.T, c *Card, _ *memory) error {
			ctx, cancel := context.WithCancel(t.Context())
			start := time.Now()
			ctx = drivers.OnBusy(ctx, func() {
				if time.Since(start) >= slowTime {
					cancel()
				}
			})
			if _, err := c.Transmit(ctx, generate); !errors.Is(err, context.Canceled) {
				t.Errorf("it returned %v", err)
			}
			return nil
		}, "009000"},
		"its time is over when it is being saved": {func(t *testing.T, c *Card, m *memory) error {
			ctx, cancel := context.WithTimeout(t.Context(), slowTime+time.Second)
			defer cancel()
			m.saving = func() { time.Sleep(2 * time.Second) }
			_, err := c.Transmit(ctx, generate)
			m.saving = nil
			return err
		}, "019000"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := &memory{}
				c := newCard(t, testOpts(m))
				run1(t, c, []step{{selectTest, testFCI + "9000"}})
				if err := tt.call(t, c, m); err != nil {
					t.Fatal(err)
				}
				if _, err := c.PowerOn(t.Context()); err != nil { // waits for the end
					t.Fatal(err)
				}
				run1(t, c, []step{{selectTest, testFCI + "9000"}, {"8014000000", tt.want}})
				if err := c.Close(); err != nil {
					t.Fatal(err)
				}
				again := newCard(t, testOpts(m))
				run1(t, again, []step{{selectTest, testFCI + "9000"}, {"8014000000", tt.want}})
			})
		})
	}
}

// A card that makes a key asks for more time again and again.
func TestGenerationAsksForTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCard(t, testOpts(nil))
		run1(t, c, []step{{selectTest, testFCI + "9000"}})
		asked := 0
		ctx := drivers.OnBusy(t.Context(), func() { asked++ })
		if _, err := c.Transmit(ctx, []byte{0, insGenerate, 0, 0}); err != nil || asked < int(slowTime/busyTime)-1 {
			t.Errorf("it asked %d times, %v", asked, err)
		}
	})
}
