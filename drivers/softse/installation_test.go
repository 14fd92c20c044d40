package softse

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/cloud-of-se/tses/drivers/softse/internal/offcard"
)

const (
	ssdPackage = "A0000001515350"
	ssdModule  = "A000000151535041"
	ssdAID     = "A00000015153504101"
	appPackage = "F054534553"
	appModule  = "F05453455301"
)

func TestInstall(t *testing.T) {
	c := newCard(t, testOpts(nil))
	a := dialISD(t, c)
	for _, tt := range []struct{ name, header, data, want string }{
		{"no such package", "80E60C00", lv("F054534554", appModule, "F000000001", "00", "", ""), "6A88"},
		{"no such module", "80E60C00", lv(appPackage, "F05453455302", "F000000001", "00", "", ""), "6A88"},
		{"an AID that is taken", "80E60C00", lv(appPackage, appModule, appModule, "00", "", ""), "6A80"},
		{"the AID of a package", "80E60C00", lv(appPackage, appModule, appPackage, "00", "", ""), "6A80"},
		{"an AID that is too short", "80E60C00", lv(appPackage, appModule, "F0000000", "00", "", ""), "6A80"},
		{"a privilege that applications cannot have", "80E60C00", lv(appPackage, appModule, "F000000001", "80", "", ""), "6A80"},
		{"a token", "80E60C00", lv(appPackage, appModule, "F000000001", "00", "", "AA"), "6A80"},
		{"cut", "80E60C00", lv(appPackage, appModule, "F000000001", "00"), "6A80"},
		{"left over", "80E60C00", lv(appPackage, appModule, "F000000001", "00", "", "") + "00", "6A80"},
		{"parameters that are no TLV", "80E60C00", lv(appPackage, appModule, "F000000001", "00", "C905", ""), "6A80"},
		{"the application refuses", "80E60C00", lv(appPackage, appModule, "F000000001", "00", "C901EE", ""), "6985"},
		{"for load", "80E60200", lv("F054534559", "", "", "", ""), "6A81"},
		{"LOAD", "80E88000", "C402AABB", "6985"},
		{"P1 that does not exist", "80E64000", "", "6A86"},
		{"P2", "80E60C01", "", "6A86"},
		{"for install only", "80E60400", lv(appPackage, appModule, "F000000001", "000000", "", ""), "009000"},
		{"personalization before it is selectable", "80E62000", lv("", "", "F000000001", "", "", ""), "6985"},
		{"make selectable", "80E60800", lv("", "", "F000000001", "04", "", ""), "009000"},
		{"make selectable again", "80E60800", lv("", "", "F000000001", "00", "", ""), "6985"},
		{"default selection for what is selectable", "80E60800", lv("", "", appModule, "040000", "", ""), "009000"},
		{"and for the other again", "80E60800", lv("", "", "F000000001", "040000", "", ""), "009000"},
		{"make selectable what is not there", "80E60800", lv("", "", "F000000009", "00", "", ""), "6A88"},
		{"personalization of what cannot be", "80E62000", lv("", "", isdAID, "", "", ""), "6A88"},
	} {
		if got := a.do(tt.header, tt.data); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}
	a.expect("80F24000", "4F00", "06"+appModule+"070005F0000000010704"+"9000")
	// F000000001 is the default application now, until it is locked.
	if _, err := c.Reset(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	run1(t, c, []step{{"0012000003", "0000039000"}})
	a = dialISD(t, c)
	a.expect("80F04080", "F000000001", "9000")
	if _, err := c.Reset(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	run1(t, c, []step{{"0012000003", "6D00"}})
}

func TestInstalledIsNotSelectable(t *testing.T) {
	c := newCard(t, testOpts(nil))
	a := dialISD(t, c)
	if got := a.install("04", appPackage, appModule, "F000000001", "00"); got != "009000" {
		t.Fatal(got)
	}
	run1(t, c, []step{{"0070000100", "9000"}, {"01A4040005F000000001", "6A82"}, {"01A4040001F0", testFCI + "9000"}})
	a.expect("80E60800", lv("", "", "F000000001", "", "", ""), "009000")
	run1(t, c, []step{{"01A4040C05F000000001", "9000"}})
	a.expect("80F04080", "F000000001", "9000") // locked while it is selected
	run1(t, c, []step{{"0112000003", "6985"}, {"01A4040C05F000000001", "6A82"}})
	a.expect("80F04080", "F000000001", "6985")
	a.expect("80F04000", "F000000001", "9000")
	run1(t, c, []step{{"01A4040C05F000000001", "9000"}, {"0112000003", "0000039000"}})
	a.expect("80E40000", "4F05F000000001", "6985") // selected on channel 1
	run1(t, c, []step{{"0070800100", "9000"}})
	a.expect("80E40000", "4F05F000000001", "009000")
	a.expect("80E40000", "4F05F000000001", "6A88")
	a.expect("80E40000", "4F08"+isdAID, "6985")
	a.expect("80E40000", "4F05"+appPackage, "6985") // a load file only with what depends on it
	a.expect("80E40080", "4F05"+appPackage, "009000")
	run1(t, c, []step{{"00A4040001F0", "6A82"}})
	a = dialISD(t, c)
	if got := a.install("0C", appPackage, appModule, appModule, "00"); got != "009000" {
		t.Errorf("from a load file that stays: %s", got)
	}
	for _, bad := range []string{"", "4F", "4F04F0000000", "5005F000000001", "4F05F0000000014F05F000000001", "D200", "D20100", "D202AABB"} {
		if got := a.do("80E40000", bad); got != "6A80" {
			t.Errorf("DELETE %s: %s", bad, got)
		}
	}
	a.expect("80E40001", "", "6A86")
}

// Supplementary security domains: keys of their own, and their own alone to
// manage.
func TestSupplementaryDomain(t *testing.T) {
	c := newCard(t, testOpts(&memory{}))
	a := dialISD(t, c)
	keys := keysOf(0x30, 32)
	if got := a.install("0C", ssdPackage, ssdModule, ssdAID, "80"); got != "009000" {
		t.Fatal(got)
	}
	// Without keys of its own it has those of the issuer; with them its own.
	s := dial(t, c, ssdAID, offcard.TestKeys(), 8, 0x13)
	s.expect("80CA00E0", "", "E002C0009000") // none of its own
	if got := s.do("80D80081", hex.EncodeToString(s.h.PutKey(keys))); !strings.HasSuffix(got, "9000") {
		t.Fatal(got)
	}
	s = dial(t, c, ssdAID, keys, 16, 0x33)
	own := "E3274F09" + ssdAID + "9F70010FC503800000C407" + ssdPackage + "CC08" + isdAID
	s.expect("80F24002", "4F00", own+"9000")
	s.expect("80F24002", "4F06"+appModule, "6A88") // the issuer's
	s.expect("80F04080", appModule, "6A88")
	s.expect("80F0800F", "", "6985")
	s.expect("80E60C00", lv(appPackage, appModule, "F000000001", "00", "", ""), "6985")
	s.expect("80E40000", "4F06"+appModule, "6985")
	s.expect("80E29000", "4202AABB", "9000")

	a = dialISD(t, c)
	a.expect("80CA0042", "", "4204545345539000")
	a.expect("80E61000", lv(ssdAID, "", appModule, "", "", ""), "009000") // extradition
	s = dial(t, c, ssdAID, keys, 8, 0x01)
	app := "E3234F06" + appModule + "9F700107C503000000C405" + appPackage + "CC09" + ssdAID
	s.expect("80F24002", "4F06"+appModule, app+"9000")
	s.expect("80F04080", appModule, "9000")
	run1(t, c, []step{{"0070000100", "9000"}, {"01A4040C06" + appModule, "6A82"}})
	s.expect("80F04000", appModule, "9000")
	s.expect("80E62000", lv("", "", appModule, "", "", ""), "009000")
	s.expect("80E28000", "77", "9000")

	a = dialISD(t, c)
	a.expect("80F06080", ssdAID, "9000") // the domain and all that is under it
	run1(t, c, []step{{"01A4040C06" + appModule, "6A82"}, {"01A4040C09" + ssdAID, "6A82"}})
	a.expect("80E40000", "4F09"+ssdAID, "6985")
	a.expect("80E40080", "4F09"+ssdAID, "009000")
	a.expect("80F24002", "4F00", "6A88")
}

func TestAuthorizedManagement(t *testing.T) {
	c := newCard(t, testOpts(nil))
	a := dialISD(t, c)
	for i, privileges := range []string{"804000", "80"} {
		if got := a.install("0C", ssdPackage, ssdModule, fmt.Sprintf("%s%02d", ssdModule, i+1), privileges); got != "009000" {
			t.Fatal(got)
		}
	}
	s := dial(t, c, ssdAID, offcard.TestKeys(), 8, 0x03)
	below := ssdModule + "03"
	if got := s.install("0C", ssdPackage, ssdModule, below, "80"); got != "009000" {
		t.Fatal(got)
	}
	if got := s.install("0C", appPackage, appModule, "F000000001", "00"); got != "009000" {
		t.Fatal(got)
	}
	for _, tt := range []struct{ header, data, want string }{ // what a reset selects is the issuer's to say
		{"80E60C00", lv(appPackage, appModule, "F000000002", "04", "", ""), "6985"},
		{"80E60800", lv("", "", "F000000001", "04", "", ""), "6985"},
		{"80F28002", "4F00", "6A88"},
	} {
		s.expect(tt.header, tt.data, tt.want)
	}
	s.expect("80E61000", lv(below, "", "F000000001", "", "", ""), "009000")
	s.expect("80E61000", lv(ssdModule+"02", "", "F000000001", "", "", ""), "6985") // not below it
	s.expect("80E61000", lv(below, "", appModule, "", "", ""), "6A88")             // not its own
	s.expect("80E61000", lv(appModule, "", "F000000001", "", "", ""), "6985")      // no domain
	s.expect("80E40000", "4F06"+appModule, "6A88")
	s.expect("80E40080", "4F05"+appPackage, "6985") // some instances are not its own
	a = dialISD(t, c)
	a.expect("80E61000", lv(below, "", ssdAID, "", "", ""), "6985")  // a circle
	a.expect("80E61000", lv(ssdAID, "", ssdAID, "", "", ""), "6985") // of one
	a.expect("80E61000", lv(ssdModule+"02", "", "F000000001", "", "", ""), "009000")
	s = dial(t, c, ssdAID, offcard.TestKeys(), 8, 0x03)
	s.expect("80E40000", "4F05F000000001", "6A88")
	s.expect("80E40000", "4F09"+below, "009000")
}

func TestCardLifeCycle(t *testing.T) {
	store := &memory{}
	c := newCard(t, testOpts(store))
	a := dialISD(t, c)
	state := func() string { got := a.do("80F28002", "4F00"); return got[2*(4+8+3):][:2] }
	for _, tt := range []struct{ to, want, state string }{
		{"01", "6985", "01"}, {"0F", "6985", "01"}, {"7F", "6985", "01"}, {"03", "6985", "01"},
		{"07", "9000", "07"}, {"01", "6985", "07"}, {"7F", "6985", "07"},
		{"0F", "9000", "0F"}, {"07", "6985", "0F"},
		{"7F", "9000", "7F"}, {"0F", "9000", "0F"}, {"7F", "9000", "7F"}, {"07", "6985", "7F"},
	} {
		if got := a.do("80F080"+tt.to, ""); got != tt.want || state() != tt.state {
			t.Errorf("SET STATUS %s: %s, state %s; want %s, state %s", tt.to, got, state(), tt.want, tt.state)
		}
	}
	// Locked: the issuer security domain alone, with a warning, for this alone.
	run1(t, c, []step{{"0070000001", "6A81"}, {selectTest, "6A81"}, {"00A4040C08" + isdAID, "6283"}})
	a = &admin{t: t, c: c}
	if err := a.h.Open(a.transmit, offcard.TestKeys(), make([]byte, 8), 0x33); err != nil {
		t.Fatal(err)
	}
	a.expect("80E40000", "4F06"+appModule, "6985")
	a.expect("80E29000", "4202AABB", "6985")
	a.expect("80F04080", appModule, "6985")
	c = newCard(t, testOpts(store))
	run1(t, c, []step{{selectTest, "6A81"}})
	a = &admin{t: t, c: c}
	if err := a.h.Open(a.transmit, offcard.TestKeys(), make([]byte, 8), 0x33); err != nil {
		t.Fatal(err)
	}
	a.expect("80F0800F", "", "9000")
	run1(t, c, []step{{selectTest, testFCI + "9000"}})
	a = dialISD(t, c)
	a.expect("80F080FF", "", "9000")
	for range 2 { // terminated: for ever
		run1(t, c, []step{
			{selectTest, "6A81"}, {"00A4040C08" + isdAID, "6A81"}, {"80CA004200", "4204545345539000"}, {"0070000001", "6A81"},
			{"8050000008000000000000000000", "6985"}, {"0084000008", "6985"}, {"80F0800F00", "6982"}, {"84F24002024F00", "6982"},
		})
		c = newCard(t, testOpts(store))
	}
}

// GET STATUS comes in pages that fit in a short response with its R-MAC.
func TestGetStatusPages(t *testing.T) {
	c := newCard(t, testOpts(nil))
	a := dial(t, c, isdAID, offcard.TestKeys(), 16, 0x33)
	for i := range 20 {
		if got := a.install("0C", appPackage, appModule, fmt.Sprintf("F0000000%02X", i), "00"); got != "009000" {
			t.Fatal(got)
		}
	}
	for _, format := range []int{0, 2} {
		all, pages := "", 0
		got := a.do(fmt.Sprintf("80F2400%d", format), "4F04F0000000")
		for ; strings.HasSuffix(got, "6310"); pages++ {
			all += got[:len(got)-4]
			got = a.do(fmt.Sprintf("80F2400%d", format+1), "4F04F0000000")
		}
		all += got
		if n := strings.Count(all, "05F0000000"); n != 20 || !strings.HasSuffix(all, "9000") || pages == 0 && format == 2 {
			t.Errorf("format %d: %d entries in %d pages: %s", format, n, pages+1, all)
		}
		a.expect(fmt.Sprintf("80F2400%d", format+1), "4F04F0000000", "6985") // it is at its end
	}
	a.expect("80F24003", "4F00", "6985")
	a.expect("80F24004", "4F00", "6A86")
	a.expect("80F21102", "4F00", "6A86")
	a.expect("80F24002", "", "6A80")
	a.expect("80F24002", "4F05FFFFFFFFFF", "6A88")
	a.expect("80F28002", "4F005C034F9F70", "E3134F08"+isdAID+"9F700101C5039C5E009000")
	a.expect("80F28000", "4F00", "08"+isdAID+"019C9000")
	a.expect("80F22002", "4F05"+appPackage, "E3194F05"+appPackage+"9F700101CE020102CC08"+isdAID+"9000")
	a.expect("80F21002", "4F05"+appPackage, "E3214F05"+appPackage+"9F700101CE0201028406"+appModule+"CC08"+isdAID+"9000")
	a.expect("80F21000", "4F05"+appPackage, "05"+appPackage+"01000106"+appModule+"9000")
}

func TestStoreData(t *testing.T) {
	c := newCard(t, testOpts(nil))
	a := dialISD(t, c)
	for _, tt := range []struct{ header, data, want string }{
		{"80E21000", "4205AA", "9000"}, // one object in three blocks
		{"80E21001", "BBCC", "9000"},
		{"80E29002", "DDEE", "9000"},
		{"80CA0042", "", "4205AABBCCDDEE9000"},
		{"80E29001", "4201AA", "6A86"}, // begins with block 0
		{"80E21000", "4205AA", "9000"},
		{"80E21002", "BB", "6A86"},
		{"80E29000", "", "6A80"},
		{"80E29000", "4200", "6A80"},
		{"80E29000", "420142660100", "6A88"}, // all or nothing
		{"80E29800", "4201AA", "6A81"},       // DGI
		{"80E2F000", "4201AA", "6A81"},       // encrypted
		{"80E28000", "5F500361622F", "9000"},
		{"80CA5F50", "", "5F500361622F9000"},
		{"80CA0042", "", "4205AABBCCDDEE9000"},
	} {
		a.expect(tt.header, tt.data, tt.want)
	}
	for i := range 40 {
		got := a.do(fmt.Sprintf("80E210%02X", i), strings.Repeat("00", 200))
		if i < 20 && got != "9000" || i == 20 && got != "6A84" {
			t.Errorf("block %d: %s", i, got)
		}
		if got != "9000" {
			break
		}
	}
}
