package apdu_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/cloud-of-se/tses/apdu"
)

// unhex reads hex digits with spaces.
func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func zeros(n int) string { return strings.Repeat("00", n) }

func TestParse(t *testing.T) {
	tests := []struct {
		name     string
		in       string
		nc, ne   int
		extended bool
		kase     int
	}{
		{"case 1", "00A40400", 0, 0, false, 1},
		{"case 2 short, 1", "00B00000 01", 0, 1, false, 2},
		{"case 2 short, 255", "00B00000 FF", 0, 255, false, 2},
		{"case 2 short, 256", "00B00000 00", 0, 256, false, 2},
		{"case 3 short, 1", "00D60000 01 AA", 1, 0, false, 3},
		{"case 3 short, 255", "00D60000 FF" + zeros(255), 255, 0, false, 3},
		{"case 4 short", "00A40400 02 3F00 00", 2, 256, false, 4},
		{"case 4 short, longest", "00A40400 FF" + zeros(255) + "01", 255, 1, false, 4},
		{"case 2 extended, 1", "00B00000 000001", 0, 1, true, 2},
		{"case 2 extended, 257", "00B00000 000101", 0, 257, true, 2},
		{"case 2 extended, 65536", "00B00000 000000", 0, 65536, true, 2},
		{"case 3 extended, 1", "00D60000 000001 AA", 1, 0, true, 3},
		{"case 3 extended, 256", "00D60000 000100" + zeros(256), 256, 0, true, 3},
		{"case 3 extended, longest", "00D60000 00FFFF" + zeros(65535), 65535, 0, true, 3},
		{"case 4 extended, 1", "00A40400 000001 AA 0001", 1, 1, true, 4},
		{"case 4 extended, longest", "00A40400 00FFFF" + zeros(65535) + "0000", 65535, 65536, true, 4},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := unhex(t, tt.in)
			c, err := apdu.Parse(in)
			if err != nil {
				t.Fatal(err)
			}
			if len(c.Data) != tt.nc || c.Ne != tt.ne || c.Extended != tt.extended || c.Case() != tt.kase {
				t.Errorf("got Nc %d, Ne %d, extended %v, case %d", len(c.Data), c.Ne, c.Extended, c.Case())
			}
			if c.CLA != in[0] || c.INS != in[1] || c.P1 != in[2] || c.P2 != in[3] {
				t.Errorf("header of %s", c)
			}
			if got, err := c.Bytes(); err != nil || !bytes.Equal(got, in) {
				t.Errorf("encoded again: %.40X, %v", got, err)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	tests := []struct{ name, in, says string }{
		{"nothing", "", "0 bytes"},
		{"three bytes", "00A404", "3 bytes"},
		{"Lc without data", "00A40400 05 01", "Lc says 5"},
		{"one byte short", "00A40400 02 01", "Lc says 2"},
		{"two bytes left over", "00A40400 01 AA 0000", "Lc says 1"},
		{"extended cut", "00A40400 0000", "needs 3"},
		{"extended Lc 0", "00A40400 000000 AA", "Lc is 0"},
		{"extended Lc 0 and Le", "00A40400 000000 0000", "Lc is 0"},
		{"extended short of data", "00A40400 000003 AABB", "Lc says 3"},
		{"extended with a short Le", "00A40400 000001 AA 00", "Lc says 1"},
		{"extended, 3 bytes left over", "00A40400 000001 AA 000000", "Lc says 1"},
		{"too long", zeros(apdu.MaxCommand + 1), "at most 65544"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := apdu.Parse(unhex(t, tt.in))
			if !errors.Is(err, apdu.ErrMalformed) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %s, error %v; want one that says %q", c, err, tt.says)
			}
		})
	}
}

func TestParsedDataIsClipped(t *testing.T) {
	for _, in := range []string{"00A40400 02 3F00 07", "00A40400 000002 3F00 0007"} {
		b := unhex(t, in)
		c, err := apdu.Parse(b)
		if err != nil {
			t.Fatal(err)
		}
		_ = append(c.Data, 0xEE) // must not reach the Le behind the data
		if b[len(b)-1] != 7 {
			t.Errorf("%s: appending to Data wrote to Le", in)
		}
	}
}

func TestAppendChoosesForm(t *testing.T) {
	tests := []struct {
		name string
		cmd  apdu.Command
		want string
	}{
		{"neither", apdu.Command{INS: 0xA4, Extended: true}, "00A40000"},
		{"Ne 257", apdu.Command{INS: 0xB0, Ne: 257}, "00B00000 000101"},
		{"Nc 256", apdu.Command{INS: 0xD6, Data: make([]byte, 256)}, "00D60000 000100" + zeros(256)},
		{"short Nc, long Ne", apdu.Command{INS: 0xD6, Data: []byte{1}, Ne: 300}, "00D60000 000001 01 012C"},
		{"asked for", apdu.Command{INS: 0xB0, Ne: 256, Extended: true}, "00B00000 000100"},
	}
	for _, tt := range tests {
		got, err := tt.cmd.Append([]byte{0xEE})
		if want := append([]byte{0xEE}, unhex(t, tt.want)...); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: got %.40X, %v, want %.40X", tt.name, got, err, want)
		}
	}
	for _, bad := range []apdu.Command{{Ne: -1}, {Ne: 65537}, {Data: make([]byte, 65536)}} {
		if got, err := bad.Append([]byte{1}); !errors.Is(err, apdu.ErrMalformed) || len(got) != 1 {
			t.Errorf("%s: got %d bytes, %v", bad, len(got), err)
		}
	}
}

func TestCommandStringHidesData(t *testing.T) {
	c := apdu.Command{INS: apdu.INSVerify, Data: []byte("1234")}
	if got, want := c.String(), "00 20 00 00 Nc=4 Ne=0"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestResponse(t *testing.T) {
	in := unhex(t, "6F00 6A82")
	r, err := apdu.ParseResponse(in)
	if err != nil || r.SW != apdu.SWFileNotFound || !bytes.Equal(r.Data, []byte{0x6F, 0}) {
		t.Errorf("got %+v, %v", r, err)
	}
	if got := r.Bytes(); !bytes.Equal(got, in) {
		t.Errorf("encoded again: %X", got)
	}
	_ = append(r.Data, 0)
	if in[2] != 0x6A {
		t.Error("appending to Data wrote to the status word")
	}
	if r, err := apdu.ParseResponse([]byte{0x90, 0}); err != nil || len(r.Data) != 0 || r.SW != apdu.SWSuccess {
		t.Errorf("got %+v, %v", r, err)
	}
	for n, ok := range map[int]bool{0: false, 1: false, 2: true, apdu.MaxResponse: true, apdu.MaxResponse + 1: false} {
		if _, err := apdu.ParseResponse(make([]byte, n)); (err == nil) != ok || err != nil && !errors.Is(err, apdu.ErrMalformed) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}
