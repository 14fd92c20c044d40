package softse

import (
	"testing"

	"github.com/cloud-of-se/tses/drivers/softse/applet"
	"github.com/cloud-of-se/tses/drivers/softse/piv"
)

// SELECT of PIV while it is selected leaves what was proven to it (SP 800-73-4
// part 2, 3.1.1), as does SELECT of what is not there. SELECT of another
// application ends it, and another channel has a status of its own.
func TestSelectAgain(t *testing.T) {
	const verify, status = "0020008008313233343536FFFF", "00200080"
	opts := testOpts(nil)
	opts.Packages = append([]applet.Package{piv.Package()}, opts.Packages...)
	c := newCard(t, opts)
	fci := send(t, c, "00A40400 09 A00000030800001000 00")
	run1(t, c, []step{
		{verify, "9000"}, {status, "9000"},
		{"00A40400 09 A00000030800001000 00", fci}, {status, "9000"},
		{"00A40400 05 A000000308 00", fci}, {status, "9000"},
		{"00A4040C 05 A000000308", "9000"}, {status, "9000"},
		{"00A40400 05 F0F0F0F0F0 00", "6A82"}, {status, "9000"},
		{"0070000100", "9000"}, {"01A40400 05 A000000308 00", fci}, {"0120008000", "63C3"}, {status, "9000"},
		{selectTest, testFCI + "9000"}, {"00A40400 05 A000000308 00", fci}, {status, "63C3"},
	})
}
