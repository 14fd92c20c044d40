package softse

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloud-of-se/tses/apdu"
	"github.com/cloud-of-se/tses/drivers"
	"github.com/cloud-of-se/tses/drivers/driverstest"
	"github.com/cloud-of-se/tses/drivers/softse/gp"
)

func newCard(t testing.TB, opts Opts) *Card {
	t.Helper()
	c, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.PowerOn(context.Background()); err != nil {
		t.Fatal(err)
	}
	return c
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// send exchanges one APDU in hex; spaces are for the reader.
func send(t testing.TB, c *Card, command string) string {
	t.Helper()
	answer, err := c.Transmit(context.Background(), unhex(t, command))
	if err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	return strings.ToUpper(hex.EncodeToString(answer))
}

func TestATR(t *testing.T) {
	for _, tt := range []struct {
		t0   bool
		want string
	}{
		{false, "3b8c8131fe458031c173c001db6454534553eb"},
		{true, "3b0c8031c173c0019b6454534553"},
	} {
		got, err := buildATR(tt.t0)
		if err != nil || hex.EncodeToString(got) != tt.want {
			t.Errorf("ATR with T0=%v is %x %v, want %s", tt.t0, got, err, tt.want)
		}
		atr, err := apdu.ParseATR(got)
		if err != nil || !atr.Offers(1) == !tt.t0 {
			t.Errorf("ATR %x: T=1 %v, %v", got, atr.Offers(1), err)
		}
		if p := atr.T1(); !tt.t0 && (p.IFSC != 254 || p.BWI != 4 || p.CWI != 5) {
			t.Errorf("ATR %x: %+v", got, p)
		}
	}
}

// chosen is a card whose test application is selected after each reset.
type chosen struct{ *Card }

func (c chosen) choose(atr []byte, err error) ([]byte, error) {
	if err == nil {
		_, err = c.Transmit(context.Background(), append([]byte{0, 0xA4, 4, 0, 6}, testModule...))
	}
	return atr, err
}

func (c chosen) PowerOn(ctx context.Context) ([]byte, error) { return c.choose(c.Card.PowerOn(ctx)) }

func (c chosen) Reset(ctx context.Context, kind drivers.ResetKind) ([]byte, error) {
	return c.choose(c.Card.Reset(ctx, kind))
}

func TestConformance(t *testing.T) {
	open := func(t *testing.T) drivers.SE {
		c, err := New(testOpts(nil))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		})
		return chosen{c}
	}
	long := make([]byte, 1000)
	exchange := func(name, command string, want ...byte) driverstest.Exchange {
		return driverstest.Exchange{Name: name, Command: unhex(t, command), Want: want}
	}
	driverstest.Conformance(t, open, driverstest.Probe{
		Exchanges: []driverstest.Exchange{
			exchange("select", selectTest, append(unhex(t, testFCI), 0x90, 0)...),
			exchange("case 1", "00EE0000", 0x6D, 0),
			exchange("case 2", "0012000003", 0, 0, 3, 0x90, 0),
			exchange("case 3", "0010000001AA", 0xAA, 0x90, 0),
			exchange("case 4", "0010000001AB00", 0xAB, 0x90, 0),
			exchange("case 2 extended", "00120000000100", 0, 1, 0, 0x90, 0),
			exchange("case 3 extended", "001000000003E8"+hex.EncodeToString(long), append(long, 0x90, 0)...),
			exchange("case 4 extended", "001000000003E8"+hex.EncodeToString(long)+"0000", append(long, 0x90, 0)...),
		},
		Slow: unhex(t, "0046000000"), SlowTime: slowTime, Bubble: true,
	})
}

func TestFirstLight(t *testing.T) {
	c, other := newCard(t, DefaultOpts()), newCard(t, DefaultOpts())
	run1(t, c, []step{{selectISD, "6F108408A000000151000000A5049F6501FF9000"}})
	a, b := send(t, c, "80CA9F7F00"), send(t, other, "80CA9F7F00")
	if len(a) != 2*(3+42+2) || !strings.HasPrefix(a, "9F7F2A") || a == b {
		t.Errorf("CPLC of two cards: %s and %s", a, b)
	}
	if got := send(t, c, "0084000010"); len(got) != 2*18 || !strings.HasSuffix(got, "9000") {
		t.Errorf("GET CHALLENGE of 16 bytes: %s", got)
	}
	run1(t, c, []step{
		{"00A4040005A000000003", "6A82"}, {"00EE000000", "6D00"}, {"FFCA000000", "6E00"}, {"80CA123400", "6A88"},
		{"0084000100", "6A86"}, {"008400000000", "6700"}, {"80E40000", "6982"}, {"00E40000", "6E00"},
	})
}

// A card comes back from its store as it was, and from no other's.
func TestStore(t *testing.T) {
	store := &memory{}
	c := newCard(t, testOpts(store))
	serial := send(t, c, "80CA9F7F00")
	run1(t, c, []step{{selectTest, testFCI + "9000"}, {"8014050000", "059000"}})
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	c = newCard(t, testOpts(store))
	if got := send(t, c, "80CA9F7F00"); got != serial {
		t.Errorf("CPLC is %s after another start, was %s", got, serial)
	}
	run1(t, c, []step{{selectTest, testFCI + "9000"}, {"8014010000", "069000"}})
	store.fail = errors.New("the disk is full")
	run1(t, c, []step{{"8014010000", "6581"}})
	store.fail = nil
	run1(t, c, []step{{"8014000000", "069000"}})

	if _, err := New(Opts{Name: "soft1", Store: store}); !errors.Is(err, gp.ErrState) {
		t.Errorf("the package of an application is gone: %v, want %v", err, gp.ErrState)
	}
	store.state[len(store.state)/2] ^= 1
	good := bytes.Clone(store.state)
	for n := range good { // cut anywhere: an error, not a card
		store.state = good[:n]
		if _, err := New(testOpts(store)); !errors.Is(err, gp.ErrState) {
			t.Fatalf("state cut to %d of %d bytes: %v", n, len(good), err)
		}
	}
}

func TestFresh(t *testing.T) {
	store := &memory{fail: errors.New("read-only")}
	if _, err := New(testOpts(store)); !errors.Is(err, store.fail) {
		t.Errorf("a fresh card that cannot be saved: %v", err)
	}
	opts := testOpts(nil)
	opts.Preinstalled = []Instance{}
	run1(t, newCard(t, opts), []step{{selectTest, "6A82"}})
	opts.Packages = append(opts.Packages, opts.Packages[0])
	if _, err := New(opts); err == nil {
		t.Error("two packages with one AID are taken")
	}
	if _, err := New(Opts{}); err == nil {
		t.Error("a card without a name is taken")
	}
}

// A fault in an application is an error of that command, not of the process.
func TestFault(t *testing.T) {
	c := newCard(t, testOpts(nil))
	run1(t, c, []step{{selectTest, testFCI + "9000"}})
	if _, err := c.Transmit(t.Context(), []byte{0, insFault, 0, 0}); !errors.Is(err, drivers.ErrOutcomeUnknown) {
		t.Errorf("a fault: %v, want %v", err, drivers.ErrOutcomeUnknown)
	}
	run1(t, c, []step{{"0010000001AA", "AA9000"}})
}

// Power off does not wait for a key generation, and what comes next does.
func TestPowerOffWhileGenerating(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCard(t, testOpts(nil))
		run1(t, c, []step{{selectTest, testFCI + "9000"}})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		_, err := c.Transmit(ctx, []byte{0, insGenerate, 0, 0})
		if !errors.Is(err, drivers.ErrOutcomeUnknown) || !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		if err := c.PowerOff(t.Context()); err != nil || time.Since(start) != time.Second {
			t.Errorf("power off after %v: %v", time.Since(start), err)
		}
		if _, err := c.PowerOn(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("power on with a context that is done: %v", err)
		}
		if _, err := c.Transmit(t.Context(), make([]byte, 4)); !errors.Is(err, drivers.ErrPoweredOff) || time.Since(start) != time.Second {
			t.Errorf("transmit after %v: %v", time.Since(start), err)
		}
		<-c.job.done
		if c.channels[0].open || c.channels[0].selection != nil {
			t.Error("the channel is open after the generation has ended on a card without power")
		}
		if _, err := c.PowerOn(t.Context()); err != nil || time.Since(start) != slowTime {
			t.Errorf("power on after %v: %v", time.Since(start), err)
		}
		run1(t, c, []step{{"0012000003", "6D00"}})
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if _, err := c.PowerOn(t.Context()); !errors.Is(err, ErrClosed) {
			t.Errorf("power on of a closed card: %v", err)
		}
	})
}
