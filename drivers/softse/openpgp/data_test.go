package openpgp

import (
	"bytes"
	"strings"
	"testing"

	"github.com/cloud-of-se/tses/apdu"
)

// What a fresh card tells, byte for byte.
func TestFresh(t *testing.T) {
	c := newClient(t)
	aid := "D276000124010304FF00405E00070000"
	discretions := "C00A 7F00 0800 1000 0800 0001" +
		"C106 010800002000 C206 010800002000 C306 010800002000 C407 007F7F7F030003" +
		"C53C" + strings.Repeat("00", 60) + "C63C" + strings.Repeat("00", 60) + "CD0C" + strings.Repeat("00", 12) +
		"DE06 010002000300 D602 0020 D702 0020 D802 0020"
	for _, tt := range []struct{ tag, want string }{
		{"004F", aid},
		{"5F52", "0031C573C001C0059000"},
		{"0065", "65 09 5B00 5F2D00 5F350139"},
		{"006E", "6E8201 03 4F10" + aid + "5F520A 0031C573C001C0059000 7F6608 0202200002022000 7381D1" + discretions},
		{"007A", "7A05 9303000000"},
		{"0093", "000000"},
		{"00C4", "007F7F7F030003"},
		{"00C1", "010800002000"},
		{"00DE", "010002000300"},
		{"00F9", "810100"},
		{"005E", ""}, {"5F50", ""}, {"7F21", ""}, {"0101", ""}, {"00D9", "0020"},
	} {
		want := unhex(tt.want)
		if tt.tag == "006E" { // the lengths of the templates
			inner := apdu.AppendTLV(nil, 0x4F, unhex(aid))
			inner = apdu.AppendTLV(inner, 0x5F52, unhex("0031C573C001C0059000"))
			inner = apdu.AppendTLV(inner, 0x7F66, unhex("0202200002022000"))
			want = apdu.AppendTLV(nil, 0x6E, apdu.AppendTLV(inner, 0x73, unhex(discretions)))
		}
		if got := c.ok("00CA" + tt.tag); !bytes.Equal(got, want) {
			t.Errorf("%s: got  % X\nwant % X", tt.tag, got, want)
		}
	}
	algorithms, found := apdu.FindTLV(c.ok("00CA00FA"), 0xFA)
	list, err := apdu.ParseTLVs(algorithms)
	if !found || err != nil || len(list) != 3*3+4+4+4 {
		t.Errorf("%d algorithms, %v", len(list), err)
	}
	c.everything()
	for _, a := range list { // each of them can be chosen
		c.ok("00DA00"+strings.ToUpper(string("0123456789abcdef"[a.Tag>>4])+string("0123456789abcdef"[a.Tag&15])), a.Value)
	}
}

// What is written is read again, and lasts.
func TestObjects(t *testing.T) {
	c := newClient(t).everything()
	for _, o := range []string{
		"005E 6A6F", "5F50 68747470", "5F2D 6465656E", "005B 446F653C3C4A6F", "5F35 32", "0101 01", "0102 02", "0103 03", "0104 04",
		"00D6 0120", "00D9 0220",
	} {
		put, value, _ := strings.Cut(o, " ")
		c.ok("00DA"+put, unhex(value))
	}
	c.ok("00DA00C8" + strings.Repeat("AB", 20))
	c.ok("00DA00CC" + strings.Repeat("CD", 20))
	c.ok("00DA00CF 01020304")
	for i, cert := range []string{"AUT", "DEC", "SIG"} {
		c.ok("00A50" + string(rune('0'+i)) + "04 60045C027F21")
		c.ok("00DA7F21", []byte(cert))
	}
	c.refused(apdu.SWWrongData, "00DA7F21", make([]byte, maxCertificate+1))

	c = c.reload().everything()
	for tag, want := range map[string]string{
		"005E": "6A6F", "5F50": "68747470", "0065": "65145B07446F653C3C4A6F5F2D046465656E5F350132", "0101": "01", "0102": "02", "0103": "03", "0104": "04",
		"00D6": "0120", "00D7": "0020", "00D9": "0220",
		"00C5": strings.Repeat("00", 20) + strings.Repeat("AB", 20) + strings.Repeat("00", 20),
		"00C6": strings.Repeat("00", 40) + strings.Repeat("CD", 20),
		"00CD": "000000000102030400000000",
	} {
		if got := c.ok("00CA" + tag); !bytes.Equal(got, unhex(want)) {
			t.Errorf("%s: got % X, want %s", tag, got, want)
		}
	}
	for _, next := range []struct{ command, want string }{{"00CA7F21", "AUT"}, {"00CC7F21", "DEC"}, {"00CC7F21", "SIG"}, {"00CA7F21", "SIG"}} {
		if got := c.ok(next.command); string(got) != next.want {
			t.Errorf("%s: %q, want %q", next.command, got, next.want)
		}
	}
	c.refused(apdu.SWReferencedDataNotFound, "00CC7F21")
}

// With a KDF the PINs are the hashes that it came with; without, the well-known
// ones again.
func TestKDF(t *testing.T) {
	c := newClient(t).everything()
	c.ok("00240081 313233343536 363534333231")
	c.ok("00DA00D3 7265736574636F6465")
	first, third := bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{3}, 32)
	do := unhex("810103 820108 830400100000 8408 0102030405060708 8508 1102030405060708 8608 2102030405060708")
	do = apdu.AppendTLV(apdu.AppendTLV(do, 0x87, first), 0x88, third)
	c.ok("00DA00F9", do)
	c = c.reload()
	if got := c.ok("00CA00F9"); !bytes.Equal(got, do) {
		t.Errorf("% X", got)
	}
	c.refused(0x63C2, "00200081 363534333231")
	c.refused(0x63C2, "00200083 3132333435363738")
	c.ok("00200081", first)
	c.ok("00200083", third)
	c.refused(blocked, "002C0081 7265736574636F6465 363534333231")
	c.ok("00DA00F9 810100")
	c.ok("00200081 313233343536")
	c.ok("00200083 3132333435363738")
	for _, bad := range []string{
		"", "810103", "810101", "810102", "81010081 0100", "810100 820108", "8001" + "00",
		"810103 82010A 830400100000 8408 0102030405060708 8720" + strings.Repeat("01", 32) + "8820" + strings.Repeat("01", 32),
		"810103 820108 8408 0102030405060708 8720" + strings.Repeat("01", 32) + "8820" + strings.Repeat("01", 32),
		"810103 820108 830400100000 8407 01020304050607 8720" + strings.Repeat("01", 32) + "8820" + strings.Repeat("01", 32),
	} {
		c.refused(apdu.SWWrongData, "00DA00F9"+bad)
	}
}

// TERMINATE DF wipes, and the application stays terminated over a power cut
// until ACTIVATE FILE; what selections had proven is no more.
func TestFactoryReset(t *testing.T) {
	c := newClient(t).everything()
	other := c.another().everything()
	c.ok("00DA00C1" + ed)
	c.ok("00478000 B600")
	c.ok("00DA005E 6A6F")
	seed := c.card.app.state.slots[slotSign].key.private
	c.card.fail = func() bool { return true }
	c.refused(apdu.SWMemoryFailure, "00E60000")
	c.card.fail = nil
	c.ok("00CA005E")
	c.ok("00E60000")
	for _, s := range []*client{c, other, c.reload()} {
		s.refused(swTerminated, "00CA004F")
		s.refused(swTerminated, "00E60000")
		s.refused(apdu.SWClass, "80440000")
	}
	if key, zero := seed.(interface{ Seed() []byte }), make([]byte, 32); !bytes.Equal(key.Seed(), zero) {
		t.Error("the key is not wiped")
	}
	if s, _, err := c.card.app.Select(); s == nil || err != swTerminated {
		t.Errorf("SELECT of a terminated application: %v", err)
	}
	c.ok("00440000")
	c = c.reload()
	if got := c.ok("00CA005E"); len(got) != 0 {
		t.Errorf("after the reset: % X", got)
	}
	c.refused(apdu.SWReferencedDataNotFound, "00478100 B600")
	other.refused(denied, "00DA005E 6A6F")
	c.everything()
}
