package t1

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestCheckValue: the check value of CRC-16/X-25 (ISO/IEC 13239) for the digits
// 1 to 9 is 906E, in the catalogue of CRC algorithms.
func TestCheckValue(t *testing.T) {
	digits := []byte("123456789")
	for _, tt := range []struct {
		kind EDC
		want string
	}{
		{CRCHigh, "906E"}, {CRCLow, "6E90"}, {CRCPlain, "6F91"},
		{LRC, "31"}, {LRCWithoutNAD, "00"},
	} {
		if got := tt.kind.append(nil, digits); !bytes.Equal(got, unhex(t, tt.want)) {
			t.Errorf("kind %d: got %X, want %s", tt.kind, got, tt.want)
		}
	}
}

// TestFrames holds the encoder to frames of GPC_SPE_172, of UM11225 and of the
// hosts that dialects.go names.
func TestFrames(t *testing.T) {
	for _, tt := range []struct {
		dialect Dialect
		block   Block
		want    string
	}{
		{GlobalPlatform, sRequest(SResynch, nil), "21 C0 00 00 65 AC"},
		{GlobalPlatform, sRequest(SCIP, nil), "21 C4 00 00 06 CD"},
		{GlobalPlatform, sRequest(SSWR, nil), "21 CF 00 00 2F 6B"},
		{GlobalPlatform, sRequest(SRelease, nil), "21 C6 00 00 B3 75"},
		{NXPGlobalPlatform, sRequest(SCIP, nil), "5A C4 00 00 9C 9D"},
		{UM11225, sRequest(SResynch, nil), "5A C0 00 FF FC"},
		{UM11225, sRequest(sSoftReset, nil), "5A CF 00 37 7F"},
		{UM11225, sRequest(0x07, nil), "5A C7 00 F7 B1"},
		{UM11225, sRequest(sEndOfSession, nil), "5A C5 00 47 82"},
		{ISO7816(false), sRequest(SIFS, []byte{0xFE}), "00 C1 01 FE 3E"},
		{ISO7816(false), rBlock(1, checksumError), "00 91 00 91"},
		{ISO7816(false), iBlock(1, true, []byte{1, 2}), "00 60 02 01 02 61"},
		{NXPeSE, sRequest(0x04, nil), "5A C4 00 C4"},
		{IoSE, sRequest(sBareAPDU, []byte{0xAA}), "5A C1 01 AA"},
		{ST54, sRequest(SIFS, []byte{0xFE}), "21 C1 01 FE 59 38"}, // as ST's own host sends it
		{ST54, sRequest(SSWR, nil), "21 CF 00 49 D6"},
		{Thales, sRequest(sThalesReset, nil), "12 C5 00 D7"},
		{ISO7816(true), sRequest(SIFS, []byte{0xFE}), "00 C1 01 FE 54 4E"},
	} {
		got := tt.dialect.Append(nil, tt.block)
		want := unhex(t, tt.want)
		if tt.dialect.Bare != 0 {
			got = got[:len(want)] // its CRC is UM11225's
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s, %v: got %X, want %X", tt.dialect.Name, tt.block, got, want)
		}
	}
}

// se050Reset is the answer of an SE050 to S(interface soft reset), as captured
// from a chip: its ATR in a block with a CRC, the low byte first.
const se050Reset = "A5 EF 23 00 A000000396 04 03E8 00FE 02 0B 03E8 08 01 000000 0064 0000 0A 4A434F5034204154504F 87 77"

func TestCapturedFrame(t *testing.T) {
	raw := unhex(t, se050Reset)
	if n, ok := UM11225.Size(raw[:3]); !ok || n != len(raw) {
		t.Errorf("Size: %d, %v; want %d", n, ok, len(raw))
	}
	b, err := UM11225.Parse(raw)
	if err != nil || !b.isResponse() || b.kind() != sSoftReset || len(b.INF) != 35 {
		t.Fatalf("Parse: %v with %d bytes, %v", b, len(b.INF), err)
	}
	raw[7] ^= 1
	if _, err := UM11225.Parse(raw); !errors.Is(err, ErrChecksum) {
		t.Errorf("with a flipped bit: %v, want %v", err, ErrChecksum)
	}
}

// TestLongLength: NXP's LEN field has one byte up to 254 and FF with two more
// from 255 on.
func TestLongLength(t *testing.T) {
	for _, n := range []int{0, 1, 254, 255, 256, 4089} {
		d := NXPeSE
		raw := d.append(nil, d.FromChip, Block{0, make([]byte, n)})
		want := 3
		if n > 254 {
			want = 5
		}
		if got := len(raw) - n - 1; got != want {
			t.Errorf("%d bytes: prologue of %d, want %d", n, got, want)
		}
		if b, err := d.Parse(raw); err != nil || len(b.INF) != n {
			t.Errorf("%d bytes: Parse gives %d, %v", n, len(b.INF), err)
		}
	}
}

// FuzzParse: what is read as a block is that block when it is written again,
// and nothing is read past the end.
func FuzzParse(f *testing.F) {
	f.Add(uint8(2), unhex(f, se050Reset))
	f.Add(uint8(0), unhex(f, "12 E0 00 00 00 00"))
	f.Fuzz(func(t *testing.T, which uint8, raw []byte) {
		all := []Dialect{GlobalPlatform, NXPGlobalPlatform, UM11225, NXPeSE, ST54, Thales, IoSE, ISO7816(false), ISO7816(true)}
		d := all[int(which)%len(all)]
		b, err := d.Parse(raw)
		if err != nil {
			if !errors.Is(err, ErrFraming) && !errors.Is(err, ErrChecksum) {
				t.Errorf("%s: %v matches neither error", d.Name, err)
			}
			return
		}
		again := d.append(nil, d.FromChip, b)
		if d.Len != Len8or16 && !bytes.Equal(again, raw) {
			t.Errorf("%s: %X is written again as %X", d.Name, raw, again)
		}
	})
}
