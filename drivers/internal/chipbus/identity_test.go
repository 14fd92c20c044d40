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

func TestCIPRefused(t *testing.T) {
	for name, s := range map[string]string{
		"nothing":            "",
		"version 0":          "00" + cipSPI[2:],
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

func TestATP(t *testing.T) {
	body := unhex(t, "0F 01 02 0690 01 28 1F40 FE 53543534")
	raw := append(body, 0, 0)
	raw[0] = byte(len(raw) - 1)
	for low := 0; ; low++ { // the checksum is found, not computed by what is tested
		if low > 0xFFFF {
			t.Fatal("no checksum fits")
		}
		raw[len(raw)-2], raw[len(raw)-1] = byte(low), byte(low>>8)
		if _, err := ParseATP(raw, Timing{}); err == nil {
			break
		}
	}
	if sum := x25(raw[:len(raw)-2]); raw[len(raw)-2] != byte(sum) || raw[len(raw)-1] != byte(sum>>8) {
		t.Errorf("the checksum %X fits, want %04X with the low byte first", raw[len(raw)-2:], sum)
	}
	id, err := ParseATP(raw, DefaultTiming("st54", SPI))
	if err != nil || id.BWT != 1680*time.Millisecond || id.IFSC != 254 || !id.HasEDC || id.EDC != t1.CRCLow || string(id.Historical) != "ST54" {
		t.Errorf("got %+v, %v", id, err)
	}
	if id.Timing.Boot != 40*time.Millisecond || id.Timing.Clock != 8e6 {
		t.Errorf("got timing %+v", id.Timing)
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
	f.Add(uint8(3), unhex(f, "0D 01 02 0690 01 28 1F40 FE 5354 0000"))
	f.Add(uint8(4), unhex(f, "3B 80 01 81"))
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
		if id.IFSC < 0 || id.IFSC > 4089 || id.BWT < 0 || id.Timing.Poll <= 0 || id.Timing.Clock <= 0 || id.Timing.Guard < 0 {
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
