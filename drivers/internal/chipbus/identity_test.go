package chipbus

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/cloud-of-se/tses/drivers/internal/t1"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// se050ATR is what an SE050 answers, as captured from a chip.
const se050ATR = "00 A000000396 04 03E8 00FE 02 0B 03E8 08 01 000000 0064 0000 0A 4A434F5034204154504F"

func TestNXPATR(t *testing.T) {
	id, err := ParseNXPATR(unhex(t, se050ATR), DefaultTiming("um11225", I2C))
	if err != nil {
		t.Fatal(err)
	}
	if id.BWT != time.Second || id.IFSC != 254 || string(id.Historical) != "JCOP4 ATPO" || !bytes.Equal(id.Vendor, unhex(t, "A000000396")) {
		t.Errorf("got %+v", id)
	}
	if got := id.Timing; got.Clock != 1e6 || got.Poll != time.Millisecond || got.Guard != 100*time.Microsecond || got.Wake != 0 {
		t.Errorf("got timing %+v", got)
	}
	for cut := range len(unhex(t, se050ATR)) {
		if _, err := ParseNXPATR(unhex(t, se050ATR)[:cut], Timing{}); !errors.Is(err, ErrIdentity) {
			t.Errorf("cut to %d bytes: %v", cut, err)
		}
	}
}

// A CIP for each bus, built by the table of GPC_SPE_172.
const (
	cipSPI = "01 04 12345678 01 0C 00 0A 2710 05 02 0064 0FFF 0032 04 01F4 0FF9 04 54 3D 31 27"
	cipI2C = "01 03 123456 02 08 00 05 0190 00 0A 000A 04 012C 00FE 00"
)

func TestCIP(t *testing.T) {
	before := DefaultTiming("gp", SPI)
	if before.Guard != 200*time.Microsecond || before.MaxAccess != 16 || before.Poll != time.Millisecond || before.Boot != 25*time.Millisecond || before.Clock != 1e6 {
		t.Errorf("the defaults of GPC_SPE_172 on SPI: %+v", before)
	}
	id, err := ParseCIP(unhex(t, cipSPI), SPI, before)
	want := Timing{
		Clock: 10e6, Guard: 100 * time.Microsecond, Poll: 200 * time.Microsecond, MaxAccess: 4095,
		Boot: 10 * time.Millisecond, Idle: 5 * time.Millisecond, Wake: 50 * time.Microsecond,
	}
	if err != nil || id.Timing != want || id.BWT != 500*time.Millisecond || id.IFSC != 4089 || string(id.Historical) != "T=1'" {
		t.Errorf("SPI: got %+v, %v; want %+v", id, err, want)
	}
	id, err = ParseCIP(unhex(t, cipI2C), I2C, DefaultTiming("gp", I2C))
	want = Timing{Clock: 400e3, Guard: 10 * time.Microsecond, Poll: time.Millisecond, Boot: 5 * time.Millisecond}
	if err != nil || id.Timing != want || id.BWT != 300*time.Millisecond || id.IFSC != 254 {
		t.Errorf("I2C: got %+v, %v; want %+v", id, err, want)
	}
}

// TestCIPVersion: the version is not looked at. A real chip of NXP says 00.
func TestCIPVersion(t *testing.T) {
	for _, version := range []string{"00", "01", "02"} {
		if id, err := ParseCIP(unhex(t, version+cipSPI[2:]), SPI, Timing{}); err != nil || id.IFSC != 4089 {
			t.Errorf("version %s: %+v, %v", version, id, err)
		}
	}
}

func TestCIPRefused(t *testing.T) {
	for name, s := range map[string]string{
		"nothing":            "",
		"a byte more":        cipSPI + "00",
		"IIN too long":       "01 7F" + cipSPI[5:],
		"for another bus":    cipI2C,
		"PLP too short":      "01 00 01 08 00 05 0190 00 0A 000A 04 012C 00FE 00",
		"DLLP too short":     "01 00 01 0C 00 0A 2710 05 02 0064 0FFF 0032 03 01F4 0F 00",
		"IFSC over the LEN ": "01 00 01 0C 00 0A 2710 05 02 0064 0FFF 0032 04 01F4 0FFA 00",
	} {
		if id, err := ParseCIP(unhex(t, s), SPI, Timing{}); !errors.Is(err, ErrIdentity) {
			t.Errorf("%s: got %+v, %v", name, id, err)
		}
	}
}

// st54ATP is one that ST's own host takes, made up, with CRC-16/X-25, the low
// byte first.
const st54ATP = "25 5354564944 0690 01 28 1F40 01 FE 535435344A 0000000000000000000000000000000000 223E"

func TestATP(t *testing.T) {
	raw := unhex(t, st54ATP)
	if sum := x25(raw[:36]); raw[36] != byte(sum) || raw[37] != byte(sum>>8) {
		t.Errorf("the checksum is %X, want %04X with the low byte first", raw[36:], sum)
	}
	id, err := ParseATP(raw, DefaultTiming("st54", SPI))
	if err != nil || string(id.Vendor) != "STVID" || id.BWT != 1680*time.Millisecond || id.IFSC != 254 ||
		!id.HasEDC || id.EDC != t1.CRCLow || string(id.Historical) != "ST54J" {
		t.Errorf("got %+v, %v", id, err)
	}
	if id.Timing.Boot != 40*time.Millisecond || id.Timing.Clock != 8e6 || id.Timing.Turn != time.Millisecond {
		t.Errorf("got timing %+v", id.Timing)
	}
	raw[12] = 0
	if id, err := ParseATP(signed(raw), Timing{}); err != nil || id.EDC != t1.LRC {
		t.Errorf("with an LRC: %+v, %v", id, err)
	}
}

// signed gives an ATP the right checksum.
func signed(atp []byte) []byte {
	b := bytes.Clone(atp)
	sum := x25(b[:len(b)-2])
	b[len(b)-2], b[len(b)-1] = byte(sum), byte(sum>>8)
	return b
}

// TestATPRefused: what is no ATP, a shorter one with the checksum type in its
// second byte among it.
func TestATPRefused(t *testing.T) {
	good := unhex(t, st54ATP)
	with := func(at int, v byte) []byte {
		b := bytes.Clone(good)
		b[at] = v
		return signed(b)
	}
	highFirst := bytes.Clone(good)
	highFirst[36], highFirst[37] = good[37], good[36]
	for name, b := range map[string][]byte{
		"nothing":                      nil,
		"a byte less":                  good[:37],
		"a byte more":                  append(bytes.Clone(good), 0),
		"another length byte":          with(0, 0x26),
		"checksum with the high first": highFirst,
		"checksum type 2":              with(12, 2),
		"IFSC 0":                       with(13, 0),
		"IFSC 255":                     with(13, 255),
		"of another layout":            signed(unhex(t, "0F 01 02 0690 01 28 1F40 FE 53543534 0000")),
	} {
		if id, err := ParseATP(b, Timing{}); !errors.Is(err, ErrIdentity) {
			t.Errorf("%s: got %+v, %v", name, id, err)
		}
	}
}

// Answers of eSEs to S(interface reset): an SN220 by the structure in NXP's
// host, and the secure timers of older firmware.
const (
	eSEParameters = "A000000320 01 0002 0658 1F40 00 FE 01 0400 000C 00 01"
	eSETimers     = "F1 04 00000001 F2 04 00000002 F3 04 00000003"
)

func TestESEParameters(t *testing.T) {
	before := DefaultTiming("nxp-ese", SPI)
	told := before
	told.Clock, told.Turn, told.Back = 8e6, 2*time.Millisecond, 2*time.Millisecond
	for name, tt := range map[string]struct {
		said    string
		bwt     time.Duration
		ifsc    int
		maxIFSC int
		crc     bool
		timing  Timing
	}{
		"SN220":               {eSEParameters, 1624 * time.Millisecond, 254, 1024, false, told},
		"without what is new": {eSEParameters[:len(eSEParameters)-6], 1624 * time.Millisecond, 254, 1024, false, told},
		"CRC":                 {strings.Replace(eSEParameters, " 00 FE", " 01 FE", 1), 1624 * time.Millisecond, 254, 1024, true, told},
		"short blocks only":   {strings.Replace(eSEParameters, "000C", "0004", 1), 1624 * time.Millisecond, 254, 254, false, told},
		"all zero":            {strings.Repeat("00", 19), 0, 0, 0, false, before},
		"timers":              {eSETimers, 0, 0, 0, false, before},
		"nothing":             {"", 0, 0, 0, false, before},
	} {
		id, err := ParseeSE(unhex(t, tt.said), before)
		if err != nil || id.BWT != tt.bwt || id.IFSC != tt.ifsc || id.MaxIFSC != tt.maxIFSC || id.HasEDC != tt.crc || tt.crc && id.EDC != t1.CRCLow || id.Timing != tt.timing {
			t.Errorf("%s: got %+v, %v; want %+v", name, id, err, tt)
		}
		atr, err := id.atr(&t1.NXPeSE)
		if want := unhex(t, "3B800181"); err != nil || len(id.Historical) != 0 || !bytes.Equal(atr, want) {
			t.Errorf("%s: answer to reset %X, %v; want %X without historical bytes", name, atr, err, want)
		}
	}
	for name, s := range map[string]string{
		"18 bytes that are no timers": eSEParameters[:len("A000000320 01 0002 0658 1F40 00 FE 01 0400 00")],
		"timers cut short":            eSETimers[:len(eSETimers)-2],
		"checksum type 2":             strings.Replace(eSEParameters, " 00 FE", " 02 FE", 1),
	} {
		if id, err := ParseeSE(unhex(t, s), before); !errors.Is(err, ErrIdentity) {
			t.Errorf("%s: got %+v, %v", name, id, err)
		}
	}
}

// TestThalesATR: what Thales's host reads begins with T0; with TS it is the same
// answer to reset.
func TestThalesATR(t *testing.T) {
	full := unhex(t, "3B 83 81 11 20 655345 40")
	for name, said := range map[string][]byte{"without TS": full[1:], "with TS": full} {
		id, err := parseIdentity(&t1.Thales, SPI, said, DefaultTiming("thales", SPI))
		if err != nil || id.IFSC != 32 || string(id.Historical) != "eSE" {
			t.Errorf("%s: %+v, %v", name, id, err)
		}
		if atr, err := id.atr(&t1.Thales); err != nil || !bytes.Equal(atr, full) {
			t.Errorf("%s: answer to reset %X, %v; want %X", name, atr, err, full)
		}
	}
}

// x25 is CRC-16/X-25 bit by bit.
func x25(b []byte) uint16 {
	sum := uint16(0xFFFF)
	for _, v := range b {
		sum ^= uint16(v)
		for range 8 {
			odd := sum & 1
			sum >>= 1
			if odd != 0 {
				sum ^= 0x8408
			}
		}
	}
	return ^sum
}

// FuzzIdentity: what a parser takes is within its bounds, and nothing is kept
// of the input.
func FuzzIdentity(f *testing.F) {
	f.Add(uint8(0), unhex(f, cipSPI))
	f.Add(uint8(1), unhex(f, cipI2C))
	f.Add(uint8(2), unhex(f, se050ATR))
	f.Add(uint8(3), unhex(f, st54ATP))
	f.Add(uint8(4), unhex(f, "3B 80 01 81"))
	f.Add(uint8(4), unhex(f, "80 01 81"))
	f.Add(uint8(6), unhex(f, eSEParameters))
	f.Add(uint8(6), unhex(f, eSETimers))
	f.Add(uint8(6), []byte{})
	f.Fuzz(func(t *testing.T, which uint8, b []byte) {
		d := []t1.Dialect{t1.GlobalPlatform, t1.GlobalPlatform, t1.UM11225, t1.ST54, t1.Thales, t1.IoSE, t1.NXPeSE}[int(which)%7]
		kind := SPI
		if which%7 == 1 {
			kind = I2C
		}
		id, err := parseIdentity(&d, kind, b, DefaultTiming(d.Name, kind))
		if err != nil {
			return
		}
		if id.IFSC < 0 || id.IFSC > 4089 || id.MaxIFSC < 0 || id.MaxIFSC > 0xFFFF || id.Timing.Turn < 0 || id.Timing.Back < 0 || id.BWT < 0 || id.Timing.Poll <= 0 || id.Timing.Clock <= 0 || id.Timing.Guard < 0 {
			t.Errorf("%s: %X gives %+v", d.Name, b, id)
		}
		kept := bytes.Clone(id.Historical)
		clear(b)
		if !bytes.Equal(kept, id.Historical) {
			t.Error("the historical bytes are the input's")
		}
		if _, err := id.atr(&d); err != nil {
			t.Errorf("%s: no answer to reset: %v", d.Name, err)
		}
	})
}
