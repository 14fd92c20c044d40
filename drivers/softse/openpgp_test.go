package softse

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cloud-of-se/tses/drivers/softse/applet"
	"github.com/cloud-of-se/tses/drivers/softse/openpgp"
	"github.com/cloud-of-se/tses/drivers/softse/piv"
)

const (
	selectPGP = "00A4040C06D27600012401"
	verifyPW3 = "00200083083132333435363738"
)

// A fresh card has the OpenPGP application under the AID with its own serial
// number; by the whole AID, a part of it, or behind another application of the
// card it is selected; long answers come in pieces, long data in chains and
// extended commands alike.
func TestOpenPGPOnACard(t *testing.T) {
	store := &memory{}
	opts := DefaultOpts()
	opts.Store, opts.Packages = store, []applet.Package{piv.Package(), openpgp.Package()}
	c := newCard(t, opts)
	aid := "D276000124010304FF00" + send(t, c, "80CA9F7F00")[2*(3+12):][:8] + "0000"
	run1(t, c, []step{
		{selectPGP, "9000"}, {"00CA004F00", aid + "9000"},
		{"00A4040009A0000003080000100000", send(t, c, "00A4040009A0000003080000100000")},
		{"00A4040010" + aid + "00", "6F128410" + aid + "9000"}, {"00CA004F00", aid + "9000"},
		{"00A4040008" + aid[:16], "6F128410" + aid + "9000"}, {verifyPW3, "9000"},
	})
	cert := strings.Repeat("3082AB", 300)
	chain := cert
	for len(chain) > 510 {
		run1(t, c, []step{{"10DA7F21FF" + chain[:510], "9000"}})
		chain = chain[510:]
	}
	run1(t, c, []step{
		{fmt.Sprintf("00DA7F21%02X%s", len(chain)/2, chain), "9000"},
		{"00CA7F2100", cert[:512] + "6100"}, {"00C0000000", cert[512:1024] + "6100"},
		{"00CA7F21000000", cert + "9000"},
		{fmt.Sprintf("00DA010200%04X%s", len(cert)/2, cert), "9000"},
	})
	c = newCard(t, opts)
	run1(t, c, []step{{selectPGP, "9000"}, {"00CA7F21000000", cert + "9000"}})
}

// A terminated application is selected with a warning, on every channel, and
// says nothing until ACTIVATE FILE, also when the power went in between.
func TestOpenPGPTerminated(t *testing.T) {
	store := &memory{}
	opts := DefaultOpts()
	opts.Store, opts.Packages = store, []applet.Package{openpgp.Package()}
	c := newCard(t, opts)
	run1(t, c, []step{{selectPGP, "9000"}, {verifyPW3, "9000"}, {"00E60000", "9000"}})
	c = newCard(t, opts)
	run1(t, c, []step{
		{selectPGP, "6285"}, {"00CA004F00", "6285"}, {"0070000100", "9000"},
		{"01A4040C06D27600012401", "6285"}, {"01CA004F00", "6285"}, {"0144000000", "9000"}, {"01CA00C400", "007F7F7F0300039000"},
		{"00CA00C400", "007F7F7F0300039000"}, {selectPGP, "9000"},
	})
}

// A card that was made when there was no OpenPGP application keeps its state
// and has none, until it is installed.
func TestOpenPGPOnAnEarlierCard(t *testing.T) {
	store := &memory{}
	opts := testOpts(store)
	newCard(t, opts)
	opts.Packages = slices.Concat(opts.Packages, []applet.Package{openpgp.Package()})
	c := newCard(t, opts)
	run1(t, c, []step{{selectPGP, "6A82"}, {selectTest, testFCI + "9000"}})
	a := dialISD(t, c)
	if got := a.install("0C", "D2760001240103", "D276000124010304", "D276000124010304", "00"); got != "009000" {
		t.Fatal(got)
	}
	c = newCard(t, opts)
	run1(t, c, []step{{selectPGP, "9000"}, {verifyPW3, "9000"}})
}
