package softse

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloud-of-se/tses/drivers/softse/internal/offcard"
)

// try opens a secure channel with wrong keys and returns the answer to
// EXTERNAL AUTHENTICATE, and how long the card took.
func try(t *testing.T, c *Card, wrong bool) (uint16, time.Duration) {
	t.Helper()
	run1(t, c, []step{{"00A4040C08" + isdAID, "9000"}})
	a := &admin{t: t, c: c}
	keys := offcard.TestKeys()
	answer, sw, err := a.transmit(a.h.InitializeUpdate(keys, make([]byte, 8)))
	if err != nil || sw != 0x9000 {
		t.Fatalf("INITIALIZE UPDATE: %04X %v", sw, err)
	}
	if err := a.h.Initialized(answer); err != nil {
		t.Fatal(err)
	}
	command := a.h.ExternalAuthenticate(1)
	if wrong {
		command[5] ^= 1
	}
	start := time.Now()
	if _, sw, err = a.transmit(command); err != nil {
		t.Fatal(err)
	}
	return sw, time.Since(start)
}

// Failed authentications slow the card down, a power cycle or another process
// does not make it forget, the right keys do.
func TestSlowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &memory{}
		c := newCard(t, testOpts(store))
		ms := time.Millisecond
		for i, want := range []time.Duration{0, 0, 0, 250 * ms, 500 * ms, 1000 * ms, 2000 * ms, 4000 * ms, 8000 * ms, 8000 * ms} {
			if sw, took := try(t, c, true); sw != 0x6300 || took != want {
				t.Errorf("wrong cryptogram %d: %04X after %v, want 6300 after %v", i, sw, took, want)
			}
			c = newCard(t, testOpts(store))
		}
		if sw, took := try(t, c, false); sw != 0x9000 || took != 8*time.Second {
			t.Errorf("right cryptogram: %04X after %v", sw, took)
		}
		if sw, took := try(t, c, true); sw != 0x6300 || took != 0 {
			t.Errorf("wrong cryptogram after a right one: %04X after %v", sw, took)
		}
	})
}

// The wait obeys the context, and a command that it ended was not executed.
func TestSlowedObeysContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCard(t, testOpts(nil))
		for range 10 {
			try(t, c, true)
		}
		a := &admin{t: t, c: c}
		answer, _, err := a.transmit(a.h.InitializeUpdate(offcard.TestKeys(), make([]byte, 8)))
		if err != nil || a.h.Initialized(answer) != nil {
			t.Fatal("INITIALIZE UPDATE failed")
		}
		command := a.h.ExternalAuthenticate(1)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Transmit(ctx, command); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the context is done: %v", err)
		}
		if _, sw, err := a.transmit(command); sw != 0x9000 || err != nil {
			t.Errorf("the same command again: %04X %v", sw, err)
		}
	})
}

// The count is saved before the cryptogram is compared: where it cannot be,
// nothing is compared.
func TestCountedFirst(t *testing.T) {
	store := &memory{}
	c := newCard(t, testOpts(store))
	a := &admin{t: t, c: c}
	answer, _, err := a.transmit(a.h.InitializeUpdate(offcard.TestKeys(), make([]byte, 8)))
	if err != nil || a.h.Initialized(answer) != nil {
		t.Fatal("INITIALIZE UPDATE failed")
	}
	store.fail = errors.New("the disk is full")
	if _, sw, _ := a.transmit(a.h.ExternalAuthenticate(1)); sw != 0x6581 {
		t.Errorf("EXTERNAL AUTHENTICATE that cannot be counted: %04X", sw)
	}
	store.fail = nil
	run1(t, c, []step{{"84F24002084F00AABBCCDDEEFF00", "6982"}})
}

// Management needs the secure channel, on its logical channel, unbroken.
func TestNothingWithoutSecureChannel(t *testing.T) {
	management := []string{
		"80E60C0000", "80E40000084F06F05453455301", "80D8008100", "80E2900000", "80F0800700", "80F24002024F00", "80E8000000",
		"84E60C0000", "84E40000084F06F05453455301", "84D8008100", "84E2900000", "84F0800700", "84F24002024F00", "84E8000000",
	}
	c := newCard(t, testOpts(nil))
	refused := func(why, channel string) {
		t.Helper()
		for _, m := range management {
			if got := send(t, c, m[:1]+string(m[1]+channel[0]-'0')+m[2:]); got != "6982" {
				t.Errorf("%s: %s answered %s", why, m, got)
			}
		}
	}
	refused("fresh", "0")
	a := dialISD(t, c)
	run1(t, c, []step{{"0070000100", "9000"}})
	refused("the channel is another's", "1")
	a.expect("80CA0042", "", "420454534553"+"9000")
	for _, m := range management[:7] { // in clear: refused, and nothing is lost
		if got := send(t, c, m); got != "6982" {
			t.Errorf("in clear in an open channel: %s answered %s", m, got)
		}
	}
	a.expect("80CA0042", "", "420454534553"+"9000")
	if got := send(t, c, "84F24002084F00AABBCCDDEEFF00"); got != "6982" {
		t.Errorf("wrong MAC: %s", got)
	}
	refused("after a wrong MAC", "0")
	if _, sw, _ := a.h.Send(a.transmit, unhex(t, "80CA0042"), nil); sw != 0x6982 {
		t.Errorf("after a wrong MAC: %04X", sw)
	}
	dialISD(t, c)
	run1(t, c, []step{{"00A4040C08" + isdAID, "9000"}})
	refused("after another SELECT", "0")
	dialISD(t, c)
	run1(t, c, []step{{"805000000700112233445566", "6700"}})
	refused("after INITIALIZE UPDATE, even a wrong one", "0")
	if _, err := c.Reset(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	refused("after a reset", "0")
	for _, level := range []byte{0x00, 0x02, 0x10, 0x20, 0x23, 0x31, 0x34, 0x81} {
		a = &admin{t: t, c: c}
		answer, _, _ := a.transmit(a.h.InitializeUpdate(offcard.TestKeys(), make([]byte, 8)))
		if err := a.h.Initialized(answer); err != nil {
			t.Fatal(err)
		}
		if _, sw, _ := a.transmit(a.h.ExternalAuthenticate(level)); sw != 0x6A80 {
			t.Errorf("level %02X: %04X", level, sw)
		}
	}
	refused("after levels that do not exist", "0")
	run1(t, c, []step{{"8482010010" + "00112233445566778899AABBCCDDEEFF", "6985"}, {"80CA004200", "4204545345539000"}})
}

// EXTERNAL AUTHENTICATE comes right behind INITIALIZE UPDATE, or is refused.
func TestOfferIsForTheNextCommand(t *testing.T) {
	for _, between := range []string{"80CA9F7F00", "0084000008", "84F24002084F00AABBCCDDEEFF00", "80E40000"} {
		c := newCard(t, testOpts(nil))
		a := &admin{t: t, c: c}
		answer, _, err := a.transmit(a.h.InitializeUpdate(offcard.TestKeys(), make([]byte, 8)))
		if err != nil || a.h.Initialized(answer) != nil {
			t.Fatal("INITIALIZE UPDATE failed")
		}
		send(t, c, between)
		if _, sw, _ := a.transmit(a.h.ExternalAuthenticate(1)); sw != 0x6985 {
			t.Errorf("EXTERNAL AUTHENTICATE behind %s: %04X", between, sw)
		}
	}
}
