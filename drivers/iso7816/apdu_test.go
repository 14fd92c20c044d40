package iso7816

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/cloud-of-se/tses/drivers"
)

// ffs are n bytes FF.
func ffs(n int) string { return strings.Repeat("FF", n) }

// TestT0Mapping: what goes over the wire for an APDU (ISO/IEC 7816-3, 12.2), as
// the card plays it. A slash stands for the next TPDU in both columns.
func TestT0Mapping(t *testing.T) {
	for _, tt := range []struct {
		name, command, card string
		sent, want          string
	}{
		{"case 1", "00 70 80 01", "9000", "0070800100", "9000"},
		{"case 2", "00B0000003", "B0 010203 9000", "00B0000003", "0102039000"},
		{"case 2, 256", "00B0000000", "B0" + ffs(256) + "9000", "00B0000000", ffs(256) + "9000"},
		{"case 2, NULL bytes", "00B0000001", "60 60 B0 01 60 9000", "00B0000001", "019000"},
		{"case 2, byte by byte", "00B0000002", "4F 01 60 4F 02 9000", "00B0000002", "01029000"},
		{"case 2, one byte, then all", "00B0000003", "4F 01 B0 0203 9000", "00B0000003", "0102039000"},
		{"case 2, wrong Le is the answer", "00B0000003", "6C02", "00B0000003", "6C02"},
		{"case 3", "00D60000 02 AABB", "D6 9000", "00D6000002 AABB", "9000"},
		{"case 3, byte by byte", "00D60000 02 AABB", "29 29 9000", "00D6000002 AABB", "9000"},
		{"case 3, refused", "00D60000 02 AABB", "6982", "00D6000002", "6982"},
		{"case 4, without Le", "00A40400 02 AABB 00", "A4 6110", "00A4040002 AABB", "6110"},
		{"case 4, nothing to get", "00A40400 02 AABB 00", "A4 9000", "00A4040002 AABB", "9000"},
		{"case 2E, short enough", "00B00000 000002", "B0 0102 9000", "00B0000002", "01029000"},
		{"case 2E, 6C is obeyed", "00B00000 000300", "6C02 / B0 0102 9000", "00B0000000 / 00B0000002", "01029000"},
		{"case 2E, 61 is obeyed", "00B00000 000104", "B0" + ffs(256) + "6110 / C0 01020304 9000", "00B0000000 / 00C0000004", ffs(256) + "010203049000"},
		{"case 2E, the same 6C again", "00B00000 000300", "6C02 / 6C02", "00B0000000 / 00B0000002", "6C02"},
		{"case 3E, short enough", "00D60000 000002 AABB", "D6 9000", "00D6000002 AABB", "9000"},
		{"case 3E, 61 with nothing asked for", "00D60000 000002 AABB", "D6 6105", "00D6000002 AABB", "6105"},
		{"case 3E", "00D60000 000100" + ffs(256), "C2 9000 / C2 9000",
			"00C20000FF 00D60000000100" + ffs(248) + "/ 00C2000008" + ffs(8), "9000"},
		{"case 3E, on channel 2", "02D60000 000100" + ffs(256), "C2 9000 / C2 9000",
			"02C20000FF 02D60000000100" + ffs(248) + "/ 02C2000008" + ffs(8), "9000"},
		{"case 3E, no ENVELOPE", "00D60000 000100" + ffs(256), "6D00", "00C20000FF", "6D00"},
		{"case 4E, short enough", "00CB3FFF 000002 AABB 0300", "CB 6103 / C0 010203 9000", "00CB3FFF02 AABB / 00C0000003", "0102039000"},
		{"case 4E, two GET RESPONSE", "00CB3FFF 000002 AABB 0300", "CB 6100 / C0" + ffs(256) + "6102 / C0 0102 9000",
			"00CB3FFF02 AABB / 00C0000000 / 00C0000002", ffs(256) + "01029000"},
		{"case 4E, Le cuts", "00CB3FFF 000002 AABB 0002", "CB 6105 / C0 0102 6103", "00CB3FFF02 AABB / 00C0000002", "01026103"},
		{"case 4E, GET RESPONSE corrected", "00CB3FFF 000002 AABB 0100", "CB 6100 / 6C02 / C0 0102 9000",
			"00CB3FFF02 AABB / 00C0000000 / 00C0000002", "01029000"},
		{"case 4E, GET RESPONSE gives nothing", "00CB3FFF 000002 AABB 0100", "CB 6105 / 6105", "00CB3FFF02 AABB / 00C0000005", "6105"},
		{"case 4E, a SIM's class", "A0CB3FFF 000002 AABB 0100", "CB 6101 / C0 01 9000", "A0CB3FFF02 AABB / A0C0000001", "019000"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			u := play(t, tt.card)
			exchange := &t0{link: tapeLink(u), maxNulls: 10}
			got, _, err := exchange.transmit(t.Context(), bytesOf(t, tt.command))
			if err != nil || !bytes.Equal(got, bytesOf(t, tt.want)) {
				t.Errorf("answer %X, %v; want %s", got, err, tt.want)
			}
			if want := bytesOf(t, tt.sent); !bytes.Equal(u.sent, want) {
				t.Errorf("sent %X, want %X", u.sent, want)
			}
			if n := len(u.card) + len(u.later); n > 0 {
				t.Errorf("%d characters or parts are left", n)
			}
		})
	}
}

// play is a tape with the parts between slashes.
func play(t *testing.T, card string) *tape {
	t.Helper()
	var parts [][]byte
	for part := range strings.SplitSeq(card, "/") {
		parts = append(parts, bytesOf(t, part))
	}
	return newTape(parts...)
}

func bytesOf(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.NewReplacer(" ", "", "/", "").Replace(s))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestT0Errors: what breaks T=0, and whether the command may have been executed.
func TestT0Errors(t *testing.T) {
	for _, tt := range []struct {
		name, command, card string
		want                error
		mayRun              bool
	}{
		{"mute", "00B0000003", "", drivers.ErrMute, true},
		{"mute in the data", "00B0000003", "B0 0102", drivers.ErrMute, true},
		{"mute before SW2", "00B0000003", "90", drivers.ErrMute, true},
		{"too many NULL bytes", "00B0000003", strings.Repeat("60", 12), drivers.ErrMute, true},
		{"no procedure byte", "00B0000003", "3B", errProcedure, true},
		{"ACK of case 1", "00700000", "70", errProcedure, true},
		{"ACK after all data", "00D60000 01 AA", "D6 D6", errProcedure, true},
		{"data end early", "00B0000003", "4F 01 9000", errProcedure, true},
		{"more after the status word", "00B0000001", "9000 00", errStale, true},
		{"first ENVELOPE fails", "00D60000 000100" + ffs(256), "C2", drivers.ErrMute, false},
		{"last ENVELOPE fails", "00D60000 000100" + ffs(256), "C2 9000 / C2", drivers.ErrMute, true},
		{"GET RESPONSE fails", "00CB3FFF 000002 AABB 0100", "CB 6105 / C0 01", drivers.ErrMute, true},
		{"INS 6X", "00610000", "", ErrUnsupported, false},
		{"INS 9X", "009F000001", "", ErrUnsupported, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			exchange := &t0{link: tapeLink(play(t, tt.card)), maxNulls: 10}
			got, mayRun, err := exchange.transmit(t.Context(), bytesOf(t, tt.command))
			if !errors.Is(err, tt.want) || mayRun != tt.mayRun {
				t.Errorf("%X, may run %v, %v; want may run %v, %v", got, mayRun, err, tt.mayRun, tt.want)
			}
			if broken := tt.want != ErrUnsupported; exchange.broken != broken {
				t.Errorf("broken is %v, want %v", exchange.broken, broken)
			}
		})
	}
}

// TestEcho: what comes back is not what was sent.
func TestEcho(t *testing.T) {
	for name, u := range map[string]*tape{
		"wrong byte":   {echo: []Char{{Byte: 0x01}}},
		"wrong parity": {echo: []Char{{Byte: 0x00, Bad: true}}},
		"none":         {silent: true},
	} {
		l := tapeLink(u)
		l.echo = true
		begun, err := l.send(context.Background(), []byte{0, 0xA4, 0, 0, 0}, turnT0)
		if !errors.Is(err, errEcho) || !begun {
			t.Errorf("%s: begun %v, %v; want true, %v", name, begun, err, errEcho)
		}
	}
}
