package softse

import (
	"strings"
	"testing"

	"github.com/cloud-of-se/tses/apdu"
)

const (
	selectISD  = "00A4040008A000000151000000"
	selectTest = "00A4040006F0545345530100"
	testFCI    = "6F088406F05453455301"
)

// step is one command and what the card is to answer.
type step struct{ command, want string }

func run1(t *testing.T, c *Card, steps []step) {
	t.Helper()
	for _, s := range steps {
		if got := send(t, c, s.command); got != strings.ReplaceAll(s.want, " ", "") {
			t.Errorf("%s: got %s, want %s", s.command, got, s.want)
		}
	}
}

func TestDialogues(t *testing.T) {
	isd := "6F108408A000000151000000A5049F6501FF9000"
	for _, tt := range []struct {
		name  string
		t0    bool
		steps []step
	}{
		{"selection", false, []step{
			{selectTest, testFCI + "9000"},
			{"00A404000100", "6A82"},
			{"00A4040003F05453", testFCI + "9000"},
			{"00A4040000", isd},
			{"00A40400", isd},
			{"00A4040C06F05453455301", "9000"},
			{"00A4040211" + strings.Repeat("A0", 17), "6A82"},
			{"00A4040406F05453455301", "6A86"},
			{"00A4040106F05453455301", "6A86"},
			{"8012000003", "8000039000"},
		}},
		{"next occurrence", false, []step{
			{"00A4040201A0", "6A82"}, // the ISD is selected, and is the only one
			{"00A4040206F05453455301", testFCI + "9000"},
			{"00A4040206F05453455301", "6A82"},
			{"0012000003", "0000039000"},
		}},
		{"channels", false, []step{
			{selectTest, testFCI + "9000"},
			{"0070000001", "019000"},
			{"0170000001", "029000"},
			{"0070000300", "9000"},
			{"0070000001", "6A81"}, // none is free
			{"0070000300", "6A81"}, // open already
			{"0070000400", "6A81"},
			{"01A4040C06F05453455301", "9000"},
			{"0112000003", "0000039000"}, // no channel number reaches the application
			{"0212000003", "6D00"},       // opened from channel 1: the ISD, at that time
			{"0070800100", "9000"},
			{"0112000003", "6881"},
			{"0070800100", "6200"},
			{"0270800000", "9000"}, // the channel that it came on
			{"0070800000", "6A81"}, // the basic one never
			{"0070800400", "6A81"},
			{"0070010000", "6A86"},
			{"4012000003", "6881"}, // channel 4
			{"0012000003", "0000039000"},
		}},
		{"opened from another channel than the basic one", false, []step{
			{"0070000001", "019000"},
			{"01A4040C06F05453455301", "9000"},
			{"0170000001", "029000"},
			{"0212000003", "0000039000"},
		}},
		{"classes", false, []step{
			{selectTest, testFCI + "9000"},
			{"FF12000003", "6E00"},
			{"2012000003", "6E00"},
			{"A012000003", "6E00"},
			{"0412000003", "6882"},
			{"0C12000003", "6882"},
			{"04A4040006F05453455301", "6882"},
			{"8012000003", "8000039000"},
		}},
		{"chaining", false, []step{
			{selectTest, testFCI + "9000"},
			{"1010000002AABB", "9000"},
			{"1010000002CCDD", "9000"},
			{"0010000001EE00", "AABBCCDDEE9000"},
			{"1010000002AABB", "9000"},
			{"0012000003", "0000039000"}, // another header ends the chain
			{"0010000001EE00", "EE9000"},
			{"1010000002AABB", "9000"},
			{"0070000001", "019000"},     // so does MANAGE CHANNEL
			{"0010000001EE00", "EE9000"}, //
			{"1010000002AABB", "9000"},
			{"0112000003", "6D00"}, // a channel more has a chain of its own
			{"0010000001EE00", "AABBEE9000"},
			{"1410000002AABB", "6884"},
		}},
		{"more than Ne", false, []step{
			{selectTest, testFCI + "9000"},
			{"0070000001", "019000"},
			{"0010000502", "00016103"},
			{"00C0000002", "02036101"},
			{"01C0000000", "6985"}, // a channel more has data of its own to wait
			{"00C0000000", "049000"},
			{"00C0000000", "6985"},
			{"0010000502", "00016103"},
			{"0012000003", "0000039000"}, // which gives up what waits
			{"00C0000000", "6985"},
			{"00C0000100", "6A86"},
			{"00C000000101", "6700"},
			{"00100005", "00010203049000"}, // no Le is like Le 00
		}},
		{"T=0", true, []step{
			{selectTest, "610A"},
			{"00C000000A", testFCI + "9000"},
			{"0010000500", "6C05"},
			{"0010000505", "00010203049000"},
			{"0010000502", "00016103"},
			{"00C0000004", "6C03"},
			{"00C0000003", "0203049000"},
			{"0010000003AABBCC", "6103"},
			{"00C0000003", "AABBCC9000"},
			{"00100000000003AABBCC0000", "6700"},
			{"80140100FF", "6C01"},
			{"8014010001", "019000"}, // not executed a second time
			{"80140100FF", "6C01"},
			{"8014020001", "049000"}, // another command
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			opts := testOpts(nil)
			opts.T0 = tt.t0
			run1(t, newCard(t, opts), tt.steps)
		})
	}
}

func TestExtended(t *testing.T) {
	c := newCard(t, testOpts(nil))
	run1(t, c, []step{{selectTest, testFCI + "9000"}})
	data := strings.Repeat("5A", 3000)
	if got := send(t, c, "00100000000BB8"+data+"0000"); got != data+"9000" {
		t.Errorf("3000 bytes with an extended APDU: %d digits come back", len(got))
	}
	if got := send(t, c, "0010FFFF000000"); len(got) != 2*(65535+2) {
		t.Errorf("65535 bytes asked for: %d digits come back", len(got))
	}
	got := send(t, c, "0010012C00")
	if len(got) != 2*(256+2) || !strings.HasSuffix(got, "612C") {
		t.Errorf("300 bytes, short: %d digits, %s", len(got), got[len(got)-4:])
	}
	if got := send(t, c, "00C0000000"); len(got) != 2*(44+2) || !strings.HasSuffix(got, "9000") {
		t.Errorf("the rest of 300 bytes: %s", got)
	}
}

func TestChainBound(t *testing.T) {
	c := newCard(t, testOpts(nil))
	run1(t, c, []step{{selectTest, testFCI + "9000"}})
	part := "10100000FF" + strings.Repeat("77", 255)
	for range MaxChain / 255 {
		if got := send(t, c, part); got != "9000" {
			t.Fatalf("a command of a chain that is not too long: %s", got)
		}
	}
	run1(t, c, []step{{part, "6A84"}, {"001000000133", "339000"}})
}

func TestResetClosesChannels(t *testing.T) {
	c := newCard(t, testOpts(nil))
	run1(t, c, []step{{"0070000001", "019000"}, {selectTest, testFCI + "9000"}, {"1010000002AABB", "9000"}})
	if _, err := c.Reset(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	run1(t, c, []step{{"0112000003", "6881"}, {"0010000001EE", "6D00"}})
}

// An application that refuses its selection leaves the channel as it was.
func TestRefusedSelection(t *testing.T) {
	opts := testOpts(nil)
	opts.Preinstalled = []Instance{
		{Package: testPackage, Module: testModule, AID: testModule},
		{Package: testPackage, Module: testModule, AID: "\xF0\x00\x00\x00\x01"},
	}
	c := newCard(t, opts)
	run1(t, c, []step{{"0070000001", "019000"}, {"01A4040C06F05453455301", "9000"}})
	for _, aid := range []string{"\xF0\x00\x00\x00\x01", string(testModule)} {
		c.registry.Find(apdu.AID(aid), nil).App.(*testApp).refuse = true
	}
	run1(t, c, []step{
		{"01A4040C05F000000001", "6985"},
		{"0112000003", "0000039000"},
		{"0170000001", "6985"}, // the application of channel 1 for the new one
		{"0212000003", "6881"},
	})
}
