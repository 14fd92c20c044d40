package softse

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cloud-of-se/tses/drivers/softse/internal/offcard"
)

const isdAID = "A000000151000000"

// admin is a host with a secure channel to a security domain.
type admin struct {
	t testing.TB
	c *Card
	h offcard.Host
}

func (a *admin) transmit(command []byte) (data []byte, sw uint16, err error) {
	answer, err := a.c.Transmit(context.Background(), command)
	if err != nil {
		return nil, 0, err
	}
	n := len(answer) - 2
	return answer[:n], uint16(answer[n])<<8 | uint16(answer[n+1]), nil
}

// dial selects a domain on the basic channel and opens a secure channel.
func dial(t testing.TB, c *Card, domain string, keys offcard.Keys, mode int, level byte) *admin {
	t.Helper()
	a := &admin{t: t, c: c}
	if got := send(t, c, fmt.Sprintf("00A40400%02X%s", len(domain)/2, domain)); !strings.HasSuffix(got, "9000") {
		t.Fatalf("SELECT %s: %s", domain, got)
	}
	if err := a.h.Open(a.transmit, keys, bytes.Repeat([]byte{0xC5}, mode), level); err != nil {
		t.Fatalf("secure channel to %s: %v", domain, err)
	}
	return a
}

func dialISD(t testing.TB, c *Card) *admin {
	t.Helper()
	return dial(t, c, isdAID, offcard.TestKeys(), 8, 0x33)
}

// do sends a command through the secure channel: header CLA INS P1 P2, data.
func (a *admin) do(header, data string) string {
	a.t.Helper()
	answer, sw, err := a.h.Send(a.transmit, unhex(a.t, header), unhex(a.t, data))
	if err != nil {
		a.t.Fatalf("%s %s: %v", header, data, err)
	}
	return strings.ToUpper(hex.EncodeToString(answer)) + fmt.Sprintf("%04X", sw)
}

func (a *admin) expect(header, data, want string) {
	a.t.Helper()
	if got := a.do(header, data); got != want {
		a.t.Errorf("%s %s: got %s, want %s", header, data, got, want)
	}
}

// lv puts a length before each field of hex digits.
func lv(fields ...string) string {
	var b strings.Builder
	for _, f := range fields {
		fmt.Fprintf(&b, "%02X%s", len(f)/2, f)
	}
	return b.String()
}

func (a *admin) install(p1, pkg, module, aid, privileges string) string {
	a.t.Helper()
	return a.do("80E6"+p1+"00", lv(pkg, module, aid, privileges, "C900", ""))
}

func keysOf(version byte, size int) offcard.Keys {
	key := func(first byte) []byte {
		b := make([]byte, size)
		for i := range b {
			b[i] = first + byte(i)
		}
		return b
	}
	return offcard.Keys{Version: version, ENC: key(0x10), MAC: key(0x50), DEK: key(0x90)}
}

// Every key size, S8 and S16, every security level, over the whole plane.
func TestPlane(t *testing.T) {
	for _, size := range []int{16, 24, 32} {
		for _, mode := range []int{8, 16} {
			for _, level := range []byte{0x01, 0x03, 0x11, 0x13, 0x33} {
				t.Run(fmt.Sprintf("AES-%d S%d level %02X", 8*size, mode, level), func(t *testing.T) {
					testPlane(t, size, mode, level)
				})
			}
		}
	}
}

func testPlane(t *testing.T, size, mode int, level byte) {
	store := &memory{}
	c := newCard(t, testOpts(store))
	first := dialISD(t, c)
	keys := keysOf(0x31, size)
	want := fmt.Sprintf("31%X%X%X9000", offcard.CheckValue(keys.ENC), offcard.CheckValue(keys.MAC), offcard.CheckValue(keys.DEK))
	first.expect("80D80081", hex.EncodeToString(first.h.PutKey(keys)), want)

	a := dial(t, c, isdAID, keys, mode, level)
	if want := map[int]byte{8: 0x70, 16: 0x71}[mode]; a.h.Param != want || !bytes.Equal(a.h.Counter, []byte{0, 0, 1}) {
		t.Errorf("i %02X with sequence counter %x, want %02X with 1", a.h.Param, a.h.Counter, want)
	}
	a.expect("80CA00C1", "", "C1030000019000") // of the default set: dialled once
	a.expect("80E60C00", lv("F054534553", "F05453455301", "F0545345530107", "00", "C9021122", ""), "009000")
	a.expect("80F24002", "4F07F0545345530107", "E3234F07F05453455301079F700107C503000000C405F054534553CC08"+isdAID+"9000")
	a.expect("80F04080", "F0545345530107", "9000")
	run1(t, c, []step{{"00A4040007F0545345530107", "6A82"}})
	a = dial(t, c, isdAID, keys, mode, level)
	a.expect("80F04007", "F0545345530107", "9000")
	a.expect("80E62000", lv("", "", "F0545345530107", "", "", ""), "009000")
	a.expect("80E20000", "3344", "9000")
	a.expect("80E28001", "55", "9000")
	a.expect("80F24002", "4F07F0545345530107", "E3234F07F05453455301079F70010FC503000000C405F054534553CC08"+isdAID+"9000")
	a.expect("80E29000", "42024141"+"45024242", "9000")
	a.expect("80CA0042", "", "420241419000")
	run1(t, c, []step{{"00A4040C07F0545345530107", "9000"}, {"8014070000", "0711223344559000"}})

	c = newCard(t, testOpts(store)) // all of it lasts
	run1(t, c, []step{{"00A4040C07F0545345530107", "9000"}, {"8014000000", "0711223344559000"}, {"00A4040C08" + isdAID, "9000"}, {"80CA004500", "450242429000"}})
	a = dial(t, c, isdAID, keys, mode, level)
	a.expect("80E40000", "4F07F0545345530107", "009000")
	run1(t, c, []step{{"00A4040C07F0545345530107", "6A82"}})
}

func TestGetData(t *testing.T) {
	c := newCard(t, DefaultOpts())
	serial := send(t, c, "80CA9F7F00")[2*(3+12):][:8]
	run1(t, c, []step{
		{"80CA004200", "4204545345539000"},
		{"00CA004500", "450A534F46545345" + serial + "9000"},
		{"80CA006600", "6631732F06072A864886FC6B01600C060A2A864886FC6B02020301630906072A864886FC6B03640B06092A864886FC6B0403709000"},
		{"80CA006700", "6716A00A80010381027071820107810384400082030400009000"},
		{"80CA00E000", "E012C00401FF8810C00402FF8810C00403FF88109000"},
		{"80CA00C100", "C1030000009000"},
		{"80CA5F5000", "6A88"},
	})
}

func TestPutKey(t *testing.T) {
	c := earlierCard(t)
	old := offcard.TestKeys()
	old.Version = 0x30
	a := dial(t, c, isdAID, old, 8, 0x33)
	put := func(p1p2 string, keys offcard.Keys) string {
		return a.do("80D8"+p1p2, hex.EncodeToString(a.h.PutKey(keys)))
	}
	k31, k32 := keysOf(0x31, 32), keysOf(0x32, 24)
	mixed := k31
	mixed.DEK = mixed.DEK[:16]
	single := hex.EncodeToString(append([]byte{0x31}, a.h.KeyField(k32.ENC[:16])...))
	wrongCheck := a.h.PutKey(k31)
	wrongCheck[len(wrongCheck)-1] ^= 1
	for _, tt := range []struct{ name, got, want string }{
		{"a version that is not there", put("3181", k31), "6A88"},
		{"three keys of different sizes", put("0081", mixed), "6A80"},
		{"wrong check value", a.do("80D80081", hex.EncodeToString(wrongCheck)), "6A80"},
		{"version 00", put("0081", keysOf(0, 16)), "6A80"},
		{"version 80", put("0081", keysOf(0x80, 16)), "6A80"},
		{"key identifier 04", put("0084", k31), "6A86"},
		{"key identifier 02 for three keys", put("0082", k31), "6A80"},
		{"three keys as one", put("0001", k31), "6A86"},
		{"one key as a new set", a.do("80D80001", single), "6A80"},
		{"more commands follow", put("8081", k31), "6A86"},
		{"no data", a.do("80D80081", ""), "6A80"},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, tt.got, tt.want)
		}
	}
	a.expect("80CA00E0", "", "E012C00401308810C00402308810C004033088109000")
	if got := put("0081", k31); !strings.HasSuffix(got, "9000") {
		t.Fatalf("adding: %s", got)
	}
	if got := put("0081", k31); got != "6A80" {
		t.Errorf("adding a version that is there: %s", got)
	}
	if got := put("3081", k31); got != "6A80" {
		t.Errorf("replacing by a version that is another's: %s", got)
	}
	if got := put("3181", k32); !strings.HasSuffix(got, "9000") {
		t.Errorf("replacing with another version: %s", got)
	}
	// One key of the set 32, in the format without length.
	k32.MAC = keysOf(0, 24).ENC
	field := a.h.KeyField(k32.MAC)
	a.expect("80D83202", hex.EncodeToString(append([]byte{0x32}, field...)), fmt.Sprintf("32%X9000", offcard.CheckValue(k32.MAC)))
	a = dial(t, c, isdAID, k32, 16, 0x33)
	a.expect("80E40000", "D20130", "009000")
	a.expect("80E40000", "D20130", "6A88")
	a.expect("80E40000", "D20132", "6985") // the last one
	a.expect("80E40000", "D00101D20132", "6985")
	a.expect("80CA00E0", "", "E012C00401328818C00402328818C004033288189000")
	run1(t, c, []step{{"80503000080102030405060708", "6A88"}, {"80500001080102030405060708", "6A86"}, {"805000000701020304050607", "6700"}})
	dial(t, c, isdAID, k32, 8, 0x01)
}

func TestTestKeysWithoutLength(t *testing.T) {
	c := newCard(t, DefaultOpts())
	a := dialISD(t, c)
	keys := keysOf(0x31, 16)
	b := []byte{0x31}
	for _, k := range [][]byte{keys.ENC, keys.MAC, keys.DEK} {
		f := a.h.KeyField(k) // 88 11 10 ...
		b = append(b, 0x88, 0x10)
		b = append(b, f[3:]...)
	}
	if got := a.do("80D80081", hex.EncodeToString(b)); !strings.HasSuffix(got, "9000") {
		t.Fatalf("PUT KEY with key fields as in table 11-71: %s", got)
	}
	dial(t, c, isdAID, keys, 8, 0x33)
}

// Where the store fails, nothing has changed.
func TestFailedSave(t *testing.T) {
	store := &memory{}
	opts := testOpts(store)
	var reported []error
	opts.Report = func(err error) { reported = append(reported, err) }
	c := newCard(t, opts)
	a := dialISD(t, c)
	before := a.do("80F24002", "4F00") + a.do("80CA00E0", "") + a.do("80CA0042", "") + a.do("80F28002", "4F00")
	good := bytes.Clone(store.state)
	store.fail = errDiskFull
	a.expect("80D80081", hex.EncodeToString(a.h.PutKey(keysOf(0x31, 16))), "6581")
	a.expect("80E29000", "42024141", "6581")
	a.expect("80F08007", "", "6581")
	a.expect("80F04080", "F05453455301", "6581")
	a.expect("80E40000", "4F06F05453455301", "6581")
	a.expect("80E60C00", lv("F054534553", "F05453455301", "F0545345530107", "00", "", ""), "6581")
	a.expect("80E62000", lv("", "", "F05453455301", "", "", ""), "009000")
	a.expect("80E28000", "3344", "6581")
	if after := a.do("80F24002", "4F00") + a.do("80CA00E0", "") + a.do("80CA0042", "") + a.do("80F28002", "4F00"); after != before {
		t.Errorf("after commands that failed:\n%s\nbefore:\n%s", after, before)
	}
	run1(t, c, []step{{selectTest, testFCI + "9000"}, {"8014010000", "6581"}})
	if len(reported) != 8 || !errors.Is(reported[0], store.fail) || !strings.Contains(reported[0].Error(), "softse(soft1)") {
		t.Errorf("reported %v", reported)
	}
	store.fail = nil
	run1(t, c, []step{{"8014000000", "009000"}})
	if !bytes.Equal(store.state, good) {
		t.Error("the state has changed")
	}
}
