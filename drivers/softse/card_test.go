package softse

import (
	"context"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/cloud-of-se/tses/drivers"
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

// send exchanges one APDU in hex; spaces are for the reader.
func send(t testing.TB, c *Card, command string) string {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(command, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := c.Transmit(context.Background(), b)
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
		{false, "3b8c8131fe458031c173c001db6454534553"},
		{true, "3b0c8031c173c0019b6454534553"},
	} {
		got := buildATR(tt.t0)
		if !tt.t0 {
			var x byte
			for _, b := range got[1:] {
				x ^= b
			}
			if x != 0 {
				t.Errorf("ATR %x: T0 to TCK make %02x, want 0", got, x)
			}
			got = got[:len(got)-1]
		}
		if hex.EncodeToString(got) != tt.want {
			t.Errorf("ATR with T0=%v is %x, want %s", tt.t0, got, tt.want)
		}
	}
}

func TestPoweredOff(t *testing.T) {
	c, err := New(DefaultOpts())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Transmit(context.Background(), make([]byte, 5)); !errors.Is(err, drivers.ErrPoweredOff) {
		t.Errorf("Transmit on a card that is off: %v", err)
	}
	if _, err := c.Reset(context.Background(), drivers.Warm); !errors.Is(err, drivers.ErrPoweredOff) {
		t.Errorf("Reset on a card that is off: %v", err)
	}
}

func TestFirstLight(t *testing.T) {
	c := newCard(t, DefaultOpts())
	if got := send(t, c, "00A4040008A000000151000000"); got != "6F108408A000000151000000A5049F6501FF9000" {
		t.Errorf("SELECT of the ISD: %s", got)
	}
	other := newCard(t, DefaultOpts())
	a, b := send(t, c, "80CA9F7F00"), send(t, other, "80CA9F7F00")
	if len(a) != 2*(3+42+2) || !strings.HasPrefix(a, "9F7F2A") || a == b {
		t.Errorf("CPLC of two cards: %s and %s", a, b)
	}
	if got := send(t, c, "0084000010"); len(got) != 2*18 || !strings.HasSuffix(got, "9000") {
		t.Errorf("GET CHALLENGE of 16 bytes: %s", got)
	}
	for command, want := range map[string]string{
		"00A4040005A000000003": "6A82", "00EE000000": "6D00", "FFCA000000": "6E00", "80CA123400": "6A88",
	} {
		if got := send(t, c, command); got != want {
			t.Errorf("%s: got %s, want %s", command, got, want)
		}
	}
}
