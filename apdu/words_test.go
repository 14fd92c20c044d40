package apdu_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/cloud-of-se/tses/apdu"
)

func TestClass(t *testing.T) {
	tests := []struct {
		cla                                       byte
		channel                                   int
		proprietary, further, chained, secureMsgs bool
		plain                                     byte
	}{
		{0x00, 0, false, false, false, false, 0x00},
		{0x03, 3, false, false, false, false, 0x00},
		{0x0C, 0, false, false, false, true, 0x00},
		{0x04, 0, false, false, false, true, 0x00},
		{0x10, 0, false, false, true, false, 0x00},
		{0x40, 4, false, true, false, false, 0x00},
		{0x4F, 19, false, true, false, false, 0x00},
		{0x6F, 19, false, true, false, true, 0x00},
		{0x7F, 19, false, true, true, true, 0x00},
		{0x80, 0, true, false, false, false, 0x80},
		{0x84, 0, true, false, false, true, 0x80},
		{0x91, 1, true, false, true, false, 0x80},
		{0xC1, 5, true, true, false, false, 0x80},
		{0xE0, 4, true, true, false, true, 0x80},
	}
	for _, tt := range tests {
		c := apdu.Class(tt.cla)
		if c.Channel() != tt.channel || c.Proprietary() != tt.proprietary || c.Further() != tt.further ||
			c.Chained() != tt.chained || c.SecureMessaging() != tt.secureMsgs || c.Plain() != tt.plain {
			t.Errorf("CLA %02X: channel %d, proprietary %v, further %v, chained %v, secure messaging %v, plain %02X", tt.cla,
				c.Channel(), c.Proprietary(), c.Further(), c.Chained(), c.SecureMessaging(), c.Plain())
		}
	}
}

func TestOnChannel(t *testing.T) {
	for _, cla := range []byte{0x00, 0x04, 0x0C, 0x10, 0x80, 0x84, 0x90, 0x94} {
		want := apdu.Class(cla)
		for n := range apdu.Channels {
			got := apdu.Class(apdu.OnChannel(cla, n))
			if got.Channel() != n || got.Further() != (n > 3) || got.Proprietary() != want.Proprietary() ||
				got.Chained() != want.Chained() || got.SecureMessaging() != want.SecureMessaging() {
				t.Errorf("CLA %02X on channel %d is %02X", cla, n, byte(got))
			}
		}
	}
}

func TestSW(t *testing.T) {
	tests := []struct {
		sw   apdu.SW
		done bool
		text string
	}{
		{0x9000, true, "SW 9000: success"},
		{0x9001, false, "SW 9001"},
		{0x6110, true, "SW 6110: 16 bytes more by GET RESPONSE"},
		{0x6100, true, "SW 6100: 256 bytes more by GET RESPONSE"},
		{0x6C05, false, "SW 6C05: wrong Le, 5 bytes are there"},
		{0x6283, true, "SW 6283: selected application is locked or invalidated"},
		{0x62F0, true, "SW 62F0: warning, nothing changed"},
		{0x6300, true, "SW 6300: verification failed"},
		{0x6381, true, "SW 6381: file filled up by the last write"},
		{0x63A0, true, "SW 63A0: warning, memory changed"},
		{0x63C2, true, "SW 63C2: verification failed, 2 tries left"},
		{0x6A82, false, "SW 6A82: file or application not found"},
		{0x6AFF, false, "SW 6AFF: wrong parameters"},
		{0x6982, false, "SW 6982: security status not satisfied"},
		{0x6D00, false, "SW 6D00: instruction not supported"},
		{0x6F00, false, "SW 6F00: no precise diagnosis"},
		{0x6F42, false, "SW 6F42"},
		{0x9F10, true, "SW 9F10: success, 16 bytes by GET RESPONSE"},
		{0x910B, true, "SW 910B: success, the SIM has a command of 11 bytes"},
		{0x1234, false, "SW 1234"},
	}
	for _, tt := range tests {
		if tt.sw.Done() != tt.done || tt.sw.Error() != tt.text {
			t.Errorf("%s: done %v, %q; want %v, %q", tt.sw.String(), tt.sw.Done(), tt.sw.Error(), tt.done, tt.text)
		}
		if got := apdu.SW(tt.sw.SW1())<<8 | apdu.SW(tt.sw.SW2()); got != tt.sw {
			t.Errorf("%s: SW1 and SW2 make %s", tt.sw.String(), got.String())
		}
	}
	var sw apdu.SW
	if err := fmt.Errorf("select: %w", apdu.SWFileNotFound); !errors.As(err, &sw) || sw != apdu.SWFileNotFound {
		t.Errorf("errors.As found %v", sw)
	}
}

func TestAID(t *testing.T) {
	for in, ok := range map[string]bool{
		"A000000151": true, "a0000001510000": true, "A0000001510000000102030405060708": true,
		"A0000001": false, "A000000151000000010203040506070809": false, "A00000015": false, "A00000015X": false, "": false,
	} {
		if _, err := apdu.ParseAID(in); (err == nil) != ok {
			t.Errorf("%q: %v", in, err)
		}
	}
	aid := apdu.MustAID("a0000001510000")
	if aid.String() != "A0000001510000" {
		t.Errorf("got %s", aid)
	}
	for partial, want := range map[apdu.AID]bool{
		"": true, aid: true, aid[:5]: true, aid[:3]: true, aid + "x": false, apdu.MustAID("A000000152"): false,
	} {
		if got := aid.Matches(partial); got != want {
			t.Errorf("%s matches %q: %v", aid, partial, got)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("MustAID took a bad constant")
		}
	}()
	apdu.MustAID("00")
}
