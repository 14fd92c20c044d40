package access_test

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/cloud-of-se/tses/access"
	"github.com/cloud-of-se/tses/apdu"
)

// FCI templates that cards in the field gave.
const (
	// A JCOP 2.4.2, from the tests of apdu4j (SimpleMockedIT).
	fciJCOP = "6F648408A000000151000000A5589F6501FF9F6E06479120813B00734906072A864886FC6B01600B06092A864886FC6B020202630906072A864886FC6B03640B06092A864886FC6B040255650B06092B8510864864020103660C060A2B060104012A026E0102"
	// The eSE of a Galaxy Nexus: N. Elenkov, Android Security Internals, example 11-10.
	fciNexus = "6F658408A000000003000000A5599F6501FF9F6E06479100783300734A06072A864886FC6B01600C060A2A864886FC6B02020101630906072A864886FC6B03640B06092A864886FC6B040215650B06092B8510864864020103660C060A2B060104012A026E0102"
	// The shortest that cards give, from the README of apdu4j.
	fciShort = "6F108408A000000003000000A5049F6501FF"
	// A supplementary domain of a Cryptnox card, from the tests of cryptnox_id_cli.
	fciSSD = "6F118409A00000015153504101A5049F6501FF"
	// The ISD-R of an eUICC, asked for with P2 04 on channel 1 and fetched by GET RESPONSE.
	fciISDR = "6F1F8410A0000005591010FFFFFFFF8900000100A5049F6501FFE00582030202009000"
	// The PPSE of a payment card, which is no domain.
	fciPPSE = "6F2F840E325041592E5359532E4444463031A51DBF0C1A61184F07A0000000031010500A56495341204445424954870101"
)

// renamed is a domain's FCI with an AID that tells nothing.
func renamed(fci string) string {
	for _, aid := range []string{"A000000151000000", "A000000003000000"} {
		fci = strings.Replace(fci, aid, "F000000000000042", 1)
	}
	return fci
}

// exchange is a command and what comes of it: "refused", "lost", or a response.
type exchange struct{ command, outcome string }

const selectApp = "00A4040006F0000000000100"

func play(t *testing.T, g *access.Guard, exchanges []exchange) {
	t.Helper()
	for i, x := range exchanges {
		if x.command == "reset" {
			g.Reset()
			continue
		}
		raw, err := hex.DecodeString(x.command)
		if err != nil {
			t.Fatal(err)
		}
		c, err := apdu.Parse(raw)
		if err != nil {
			t.Fatalf("%s: %v", x.command, err)
		}
		err = g.Check(c)
		var refusal *access.Refusal
		if (x.outcome == "refused") != errors.As(err, &refusal) {
			t.Fatalf("step %d, %s: %v, want %s", i+1, x.command, err, x.outcome)
		}
		switch x.outcome {
		case "refused":
			continue
		case "lost":
			g.NoteLost(c)
			continue
		}
		answer, err := hex.DecodeString(x.outcome)
		if err != nil {
			t.Fatal(err)
		}
		r, err := apdu.ParseResponse(answer)
		if err != nil {
			t.Fatal(err)
		}
		g.Note(c, r)
	}
}

func TestGuard(t *testing.T) {
	open1 := exchange{"0070000001", "019000"}
	tests := []struct {
		name      string
		exchanges []exchange
	}{
		{"applications are selected and used", []exchange{
			{"00A4040005A000000308", "9000"}, {"0020008008313233343536FFFF", "9000"}, {"00CB3FFF055C035FC10200", "9000"},
			{"00A4040007A000000003101000", fciPPSE + "9000"}}},
		{"an application's own secure channel", []exchange{
			{selectApp, "9000"}, {"8050000008000102030405060700", "9000"}, {"8482010010" + strings.Repeat("00", 16), "9000"}, {"84E2000001AA", "9000"}}},
		{"access rule application", []exchange{{"00A4040009A00000015141434C0000", "9000"}, {"80CAFF4000", "9000"}}},
		{"domains by their AIDs", []exchange{
			{"00A4040008A00000015100000000", "refused"}, {"00A4040009A0000001515350410100", "refused"},
			{"00A4040008A00000000300000000", "refused"}, {"00A4040007A000000018434D00", "refused"},
			{"00A4040010A0000005591010FFFFFFFF890000010000", "refused"},
			{"00A404000AA000000151000000000000", "refused"}}},
		{"domains by parts of their AIDs", []exchange{
			{"00A40400", "refused"}, {"00A4040000", "refused"}, {"00A4040001A0", "refused"}, {"00A4040005A00000015100", "refused"},
			{"00A4040005A000000003", "refused"}, {"00A4040007A000000003000000", "refused"}, {"00A4040402A000", "refused"}}},
		{"next occurrence", []exchange{{"00A4040205A000000151", "refused"}, {"00A4040205F00000000000", renamed(fciShort) + "9000"}, {"80E2800001AA", "refused"}}},
		{"domains by their AIDs on every channel", []exchange{
			{"01A4040008A00000015100000000", "refused"}, {"03A4040000", "refused"}, {"40A4040008A00000015100000000", "refused"},
			{"4FA4040005A00000015100", "refused"}, {"0CA4040008A00000015100000000", "refused"}, {"80A4040008A00000015100000000", "refused"}}},
		{"management in every class", []exchange{
			{selectApp, "9000"},
			{"80E60C0000", "refused"}, {"81E60C0000", "refused"}, {"84E60C0000", "refused"}, {"83E8000000", "refused"},
			{"80E40000024F00", "refused"}, {"C0E40000024F00", "refused"}, {"CFD8018100", "refused"}, {"E0D8018100", "refused"},
			{"EFF0800700", "refused"}, {"80F0800700", "refused"}, {"90E60C0000", "refused"}, {"A0E8000000", "refused"}}},
		{"other commands with those numbers", []exchange{
			{selectApp, "9000"}, {"00E40000023F00", "9000"}, {"00E2000001AA", "9000"}, {"00D6000001AA", "9000"}, {"80F20000024F00", "9000"}}},
		{"before anything is selected", []exchange{
			{"80E2800001AA", "refused"}, {"8050000008000102030405060700", "refused"}, {"8482000010" + strings.Repeat("00", 16), "refused"},
			{"80EA000000", "refused"}, {"81E2800001AA", "refused"}, {"C5E2800001AA", "refused"}, {"80CA9F7F00", "9000"}, {"0084000008", "9000"}}},
		{"a SIM that selects nothing", []exchange{
			{"A0A40000023F00", "9F16"}, {"A0C0000016", strings.Repeat("00", 22) + "9000"}, {"A088000010" + strings.Repeat("00", 16), "9F0C"}, {"A0F2000016", "9000"}}},
		{"hiding", []exchange{
			{selectApp, "9000"}, {"00C2000002AAAA", "refused"}, {"0CC2000002AAAA", "refused"},
			{"10A4040008A000000151000000", "refused"}, {"50A4040006F00000000001", "refused"}, {"80C2000002D100", "9000"}}},
		{"FCI of a JCOP", selectedDomain(renamed(fciJCOP) + "9000")},
		{"FCI of an eSE", selectedDomain(renamed(fciNexus) + "9000")},
		{"FCI, short", selectedDomain(renamed(fciShort) + "9000")},
		{"FCI with the AID alone", selectedDomain("6F0A8408A0000001510000009000")},
		{"FCI of an SSD", selectedDomain(fciSSD + "9000")},
		{"FCI of an ISD-R", selectedDomain(fciISDR)},
		{"FCI of a locked card", selectedDomain(renamed(fciShort) + "6283")},
		{"FCI with bytes behind it", selectedDomain(renamed(fciShort) + "0102" + "9000")},
		{"truncated FCI", doubtful(renamed(fciShort)[:20] + "9000")},
		{"truncated after the tag", doubtful("6F9000")},
		{"truncated FCI with more to come", doubtful(renamed(fciShort)[:20] + "6108")},
		{"FCI that cannot be searched", doubtful("6F098405F000000001A50A9000")},
		{"warning without an FCI", doubtful("6283")},
		{"FCI by GET RESPONSE", append([]exchange{{"00A4040006F00000000001", "6112"}, {"80E2800001AA", "refused"}, {"00C0000012", renamed(fciShort) + "9000"}}, useOfDomain...)},
		{"FCI by GET RESPONSE, wrong Le first", append([]exchange{{"00A4040006F00000000001", "6112"}, {"00C0000001", "6C12"}, {"80E2800001AA", "refused"}}, doubt...)},
		{"FCI by GET RESPONSE with the Le it asks for", append([]exchange{{"00A4040006F00000000001", "6112"}, {"00C0000001", "6C12"}, {"00C0000012", renamed(fciShort) + "9000"}}, useOfDomain...)},
		{"FCI by GET RESPONSE, in pieces", append([]exchange{{"00A4040006F00000000001", "6112"}, {"00C0000008", renamed(fciShort)[:16] + "610A"}, {"00C000000A", renamed(fciShort)[16:] + "9000"}}, doubt...)},
		{"FCI that GET RESPONSE does not get", append([]exchange{{"00A4040006F00000000001", "6112"}, {"00C0000012", "6985"}}, doubt...)},
		{"FCI that is empty", append([]exchange{{"00A4040006F00000000001", "6112"}, {"00C0000012", "9000"}}, doubt...)},
		{"something before GET RESPONSE", append([]exchange{{"00A4040006F00000000001", "6112"}, {"0084000000", "019000"}, {"00C0000012", fciPPSE + "9000"}}, doubt...)},
		{"something on another channel before GET RESPONSE", append([]exchange{open1, {"00A4040006F00000000001", "6112"}, {"0184000000", "019000"}, {"00C0000012", fciPPSE + "9000"}}, doubt...)},
		{"application by GET RESPONSE", []exchange{{"00A4040006F00000000001", "6131"}, {"00C0000031", fciPPSE + "9000"}, {"80E2800001AA", "9000"}}},
		{"no FCI asked for", append([]exchange{{"00A4040006F00000000001", "9000"}}, doubt...)},
		{"no FCI asked for by P2", append([]exchange{{"00A4040C06F0000000000100", "9000"}}, doubt...)},
		{"FCP asked for", append([]exchange{{"00A4040406F0000000000100", "620A8408F000000000000042" + "9000"}}, doubt...)},
		{"FCP of a domain", append([]exchange{{"00A4040406F0000000000100", "620A8408A000000151000000" + "9000"}}, useOfDomain...)},
		{"failed SELECT, after which another application is used", []exchange{{selectApp, "9000"}, {"00A4040006F0000000000200", "6A82"}, {"80CA006600", "9000"}, {selectApp, "9000"}, {"80E2800001AA", "9000"}}},
		{"failed SELECT may have lost the old selection", append([]exchange{{selectApp, "9000"}, {"00A4040006F0000000000200", "6A82"}}, doubt...)},
		{"SELECT of the MF", append([]exchange{{selectApp, "9000"}, {"00A40000023F0000", "9000"}}, doubt...)},
		{"SELECT of the MF under secure messaging", append([]exchange{{selectApp, "9000"}, {"0CA4000002C0FF", "9000"}}, doubt...)},
		{"SELECT of a file", []exchange{{selectApp, "9000"}, {"00A4020C025001", "9000"}, {"80E2800001AA", "9000"}}},
		{"SELECT by a bit of P1", []exchange{{"00A4050008A00000015100000000", "refused"}, {"00A4840000", "refused"}}},
		{"SELECT in a reserved class", append([]exchange{{"20A4040006F0000000000100", "9000"}}, doubt...)},
		{"SELECT behind an open chain", append([]exchange{{"10CA00000166", "9000"}, {selectApp, "66009000"}}, doubt...)},
		{"SELECT behind an open chain of another channel", append([]exchange{{"11CA00000166", "9000"}, {selectApp, "66009000"}}, doubt...)},
		{"SELECT behind a chain whose answer is lost", append([]exchange{{"10CA00000166", "lost"}, {"00CA000000", "lost"}, {selectApp, "66009000"}}, doubt...)},
		{"SELECT behind a chain that has ended", []exchange{{"10DB3FFF0166", "9000"}, {"00DB3FFF0166", "9000"}, {selectApp, "9000"}, {"80E2800001AA", "9000"}}},
		{"GET RESPONSE behind an open chain", append([]exchange{{"11CA00000166", "9000"}, {"00A4040006F00000000001", "6131"}, {"00C0000031", fciPPSE + "9000"}}, doubt...)},
		{"GET RESPONSE in a proprietary class", append([]exchange{{"00A4040006F00000000001", "6131"}, {"80C0000031", fciPPSE + "9000"}}, doubt...)},
		{"management in the interindustry class", []exchange{
			{"00E2000001AA", "refused"}, {"00E40000024F00", "refused"}, {"0050000008000102030405060700", "refused"}, {"00F0000000", "refused"},
			{"0082000008" + strings.Repeat("00", 8), "9000"}}},
		{"management in a chain", []exchange{
			{selectApp, "9000"}, {"90E2000001AA", "refused"}, {"10E2000001AA", "refused"}, {"9050000001AA", "refused"}, {"10DB3FFF01AA", "9000"}}},
		{"SELECT with the wrong Le", append([]exchange{{selectApp, "9000"}, {"00A4040006F0000000000200", "6C12"}}, doubt...)},
		{"SELECT in a proprietary class", append([]exchange{{"80A4040006F0000000000100", "9000"}}, doubt...)},
		{"SELECT in a proprietary class, of a domain", append([]exchange{{selectApp, renamed(fciShort) + "9000"}, {"80A4040006F0000000000200", "9000"}}, useOfDomain...)},
		{"SELECT under secure messaging", append([]exchange{{"0CA404000687040102030400", "9000"}}, doubt...)},
		{"channels are told apart", []exchange{
			open1, {"00A4040006F0000000000100", renamed(fciShort) + "9000"}, {"01A4040006F0000000000200", "9000"},
			{"81E2800001AA", "9000"}, {"80E2800001AA", "refused"}, {"C1E2800001AA", "refused"}}},
		{"further channels", []exchange{
			{"0070000001", "139000"}, {"4FA4040006F0000000000100", "9000"}, {"CFE2800001AA", "9000"}, {"CEE2800001AA", "refused"}, {"EFE2800001AA", "9000"}}},
		{"channel opened from the basic one", []exchange{{selectApp, "9000"}, open1, {"81E2800001AA", "refused"}}},
		{"channel opened from another", []exchange{
			open1, {"01A4040006F0000000000100", "9000"}, {"0170000001", "029000"}, {"82E2800001AA", "refused"}, {"0170000300", "9000"}, {"83E2800001AA", "refused"},
			{"82A4040006F0000000000100", "9000"}, {"82E2800001AA", "refused"}, {"02A4040006F0000000000100", "9000"}, {"82E2800001AA", "9000"}}},
		{"channel with a domain opened from another", []exchange{
			open1, {"01A4040006F0000000000100", renamed(fciShort) + "9000"}, {"0170000001", "029000"}, {"82F20000024F00", "refused"}}},
		{"closed channel", []exchange{
			open1, {"01A4040006F0000000000100", "9000"}, {"00708001", "9000"}, {"81E2800001AA", "refused"}}},
		{"channel that closes itself", []exchange{
			open1, {selectApp, "9000"}, {"01A4040006F0000000000100", "9000"}, {"01708000", "9000"}, {"81E2800001AA", "refused"}, {"80E2800001AA", "refused"},
			{selectApp, "9000"}, {"80E2800001AA", "9000"}}},
		{"channel whose closing fails", []exchange{
			open1, {"01A4040006F0000000000100", "9000"}, {"01708000", "6A86"}, {"81E2800001AA", "refused"}}},
		{"basic channel closed", append([]exchange{{selectApp, "9000"}, {"00708000", "9000"}}, doubt...)},
		{"MANAGE CHANNEL in a chain or secured", []exchange{
			{"1070000001", "refused"}, {"0C70000001", "refused"}, {"0870000001", "refused"}, {"0470000001", "refused"}, {"2070000001", "refused"},
			{"6070000001", "refused"}, {"5070800100", "refused"}, {"4F70000001", "9000"}}},
		{"MANAGE CHANNEL in a proprietary class opens nothing", []exchange{
			{"8070000001", "019000"}, {"9070000001", "019000"}, {"8C70000001", "019000"}, {"01A4040006F0000000000100", "9000"}, {"81E2800001AA", "refused"}}},
		{"MANAGE CHANNEL in a proprietary class may have closed", append([]exchange{
			open1, {"01A4040006F0000000000100", "9000"}, {selectApp, "9000"}, {"80708001", "9000"}, {"81E2800001AA", "refused"},
			{"01A4040006F0000000000100", "9000"}, {"81E2800001AA", "refused"}}, doubt[:2]...)},
		{"MANAGE CHANNEL of another kind", append([]exchange{{selectApp, "9000"}, {"00704001", "9000"}}, doubt...)},
		{"a number that nobody asked for", append([]exchange{
			{selectApp, "9000"}, {"0070000201", "039000"}, {"03A4040006F0000000000100", "9000"}, {"83E2800001AA", "refused"}, {"02A4040006F0000000000100", "9000"},
			{"82E2800001AA", "refused"}, {"00A4040006F0000000000200", "6A82"}}, doubt...)},
		{"no number", []exchange{
			{selectApp, "9000"}, {"0070000001", "9000"}, {"01A4040006F0000000000100", "9000"}, {"81E2800001AA", "refused"}}},
		{"opened anew", []exchange{
			open1, {"01A4040006F0000000000100", "9000"}, {"0070000101", "9000"}, {"81E2800001AA", "refused"}}},
		{"a card that is deaf to channels", append([]exchange{
			{selectApp, "9000"}, open1, {"80E2800001AA", "9000"}, {"01A4040006F0000000000100", renamed(fciShort) + "9000"}}, doubt...)},
		{"a card that hears two bits of channels", []exchange{
			open1, {"0070000500", "9000"}, {"01A4040006F0000000000100", "9000"}, {"81E2800001AA", "9000"}, {"41A4040C06F00000000001", "9000"}, {"81E2800001AA", "refused"}}},
		{"channel whose number is not known", []exchange{
			open1, {selectApp, renamed(fciShort) + "9000"}, {"01A4040006F0000000000100", "9000"}, {"01700000", "6101"}, {"80E2800001AA", "refused"}}},
		{"an application's own command 70", []exchange{
			{"0070000001", "019000"}, {"0070000001", "029000"}, {"02A4040006F0000000000100", renamed(fciShort) + "9000"}, {"01A4040006F0000000000200", "9000"},
			{"81700002", "9000"}, {"82E2800001AA", "refused"}}},
		{"channel number out of range", []exchange{{"0070000001", "149000"}, {"007000FF", "9000"}, {"00708014", "9000"}}},
		{"channel that was not opened", append([]exchange{
			{selectApp, "9000"}, {"01A4040006F0000000000200", "9000"}, {"81E2800001AA", "refused"}, {"80E2800001AA", "9000"},
			{"01A4040006F0000000000200", renamed(fciShort) + "9000"}}, doubt...)},
		{"reset", []exchange{{selectApp, "9000"}, {"reset", ""}, {"80E2800001AA", "refused"}}},
		{"lost answer", append([]exchange{{selectApp, "9000"}, {"0084000008", "lost"}}, doubt...)},
		{"lost SELECT", append([]exchange{{selectApp, "9000"}, {selectApp, "lost"}}, doubt...)},
		{"lost answer of a domain", append([]exchange{{selectApp, renamed(fciShort) + "9000"}, {"80CA9F7F00", "lost"}}, useOfDomain...)},
		{"lost MANAGE CHANNEL", []exchange{open1, {"01A4040006F0000000000100", "9000"}, {"0070000001", "lost"}, {"81E2800001AA", "refused"}}},
		{"lost SELECT before GET RESPONSE", append([]exchange{{"00A4040006F00000000001", "lost"}, {"00C0000012", fciPPSE + "9000"}}, doubt...)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { play(t, access.NewGuard(access.User), tt.exchanges) })
		t.Run(tt.name+", administrator", func(t *testing.T) {
			var all []exchange
			for _, x := range tt.exchanges {
				if x.outcome == "refused" {
					x.outcome = "9000"
				}
				all = append(all, x)
			}
			play(t, access.NewGuard(access.Administrative), all)
		})
	}
}

// useOfDomain is what a security domain gets, and what not.
var useOfDomain = []exchange{
	{"80CA006600", "9000"}, {"00CA9F7F00", "9000"}, {"0084000008", "9000"},
	{"80F28000024F0000", "refused"}, {"80E2800001AA", "refused"}, {"8050000008000102030405060700", "refused"},
	{"0082000008" + strings.Repeat("00", 8), "refused"}, {"0020008008313233343536FFFF", "refused"}, {"80E60C0000", "refused"},
}

// doubt is what does not get through where a domain may be selected.
var doubt = []exchange{
	{"80CA006600", "9000"}, {"0020008008313233343536FFFF", "9000"},
	{"80E2800001AA", "refused"}, {"8050000008000102030405060700", "refused"}, {"80E60C0000", "refused"},
}

func selectedDomain(answer string) []exchange {
	return append([]exchange{{selectApp, answer}}, useOfDomain...)
}

func doubtful(answer string) []exchange {
	return append([]exchange{{selectApp, answer}}, doubt...)
}

func TestRefusal(t *testing.T) {
	c, err := apdu.Parse([]byte{0x80, 0xD8, 0x01, 0x81, 0x02, 0xAA, 0xBB})
	if err != nil {
		t.Fatal(err)
	}
	got := access.NewGuard(access.User).Check(c).Error()
	if want := "80D80181: PUT KEY is GlobalPlatform management; this needs the administrative plane"; got != want {
		t.Errorf("%q, want %q, without the data", got, want)
	}
}
