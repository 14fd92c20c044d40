package access_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/cloud-of-se/tses/access"
	"github.com/cloud-of-se/tses/apdu"
	"github.com/cloud-of-se/tses/drivers/driverstest/pivwalk"
)

// recorded is where what GlobalPlatformPro sent to a card is kept.
const recorded = "../drivers/softse/testdata/globalplatformpro.txt"

// TestRecordedManagement: of ten sessions of GlobalPlatformPro nothing gets
// through but what reads, and where an application is selected nothing that
// changes the card.
func TestRecordedManagement(t *testing.T) {
	text, err := os.ReadFile(recorded)
	if err != nil {
		t.Fatal(err)
	}
	user, inApp, changing := access.NewGuard(access.User), access.NewGuard(access.User), 0
	play(t, inApp, []exchange{{selectApp, "9000"}})
	for line := range strings.Lines(string(text)) {
		command, answer, found := strings.Cut(strings.TrimSpace(line), " ")
		if !found || command == "#" {
			continue
		}
		if ins := command[2:4]; ins == "CA" || ins == "F2" { // only read: GET DATA and, as on a SIM, (GET) STATUS
			play(t, user, []exchange{{command, answer}})
			continue
		}
		play(t, user, []exchange{{command, "refused"}})
		switch command[2:4] {
		case "D8", "E4", "E6", "E8", "F0":
			play(t, inApp, []exchange{{command, "refused"}})
			changing++
		}
	}
	if changing != 50 {
		t.Errorf("%d commands that change the card, 50 were recorded", changing)
	}
}

// TestPublishedSequences are what programs send, from their sources and the
// standards that they follow: what manages is refused, the rest gets through.
func TestPublishedSequences(t *testing.T) {
	const isdr = "01A4040010A0000005591010FFFFFFFF8900000100"
	fcp := "621E8202782183027FF08410A0000000871002FF49FF0589040000FF8A01058B03"
	for _, tt := range []struct {
		name      string
		exchanges []exchange
	}{
		{"an LPA on the ISD-R of an eUICC (GSMA SGP.22, 5.7)", []exchange{
			{"80AA00000AA9088100820101830107", "9000"}, {"0070000001", "019000"}, {isdr, "refused"},
			{"01A4040006A0000005591000", "refused"}, {"81E2910003BF2000", "refused"}, {"81E2910003BF2E00", "refused"}, {"01CA005A00", "6A88"}, {"0070800100", "9000"}}},
		{"AUTHENTICATE of a USIM (3GPP TS 31.102, 7.1)", []exchange{
			{"00A40004023F00", "6125"}, {"00C0000025", fcp + "9000"}, {"00A40004022F00", "611C"}, {"00B2010426", strings.Repeat("FF", 38) + "9000"},
			{"0070000001", "019000"}, {"01A4040407A0000000871004", "6A82"}, {"01A4040C07A0000000871004", "9000"},
			{"00A4040407A0000000871002", "6121"}, {"00C0000021", fcp + "9000"}, {"0020000108FFFFFFFFFFFFFFFF", "63C2"},
			{"008800812210" + strings.Repeat("00", 16) + "10" + strings.Repeat("00", 16), "6135"}, {"00C0000035", "DB" + strings.Repeat("00", 52) + "9000"},
			{"80F2000C00", "9000"}, {"8010000004FFFFFFFF", "910F"}, {"801200000F", strings.Repeat("D0", 15) + "9000"}, {"8014000003810301", "9000"},
			{"80C200000BD607190103820282811B00", "9000"}, {"01708000", "9000"}, {"8076000000", "9000"}}},
		{"an OpenPGP card of GnuPG", []exchange{
			{"00A4040006D27600012401", "9000"}, {"00CA006E00", "6E00" + "9000"}, {"00200082083132333435363738", "9000"}, {"002A9E9A00", "9000"},
			{"10DB3FFF" + "02" + "4D00", "9000"}, {"00DB3FFF" + "02" + "4D00", "9000"}, {"0047810002B80000", "7F49009000"}, {"00DA005E0141", "9000"}, {"0084000008", "01020304050607089000"}}},
		{"a PIV card of yubico-piv-tool", []exchange{
			{"00A4040005A000000308", "61114F0600001000010079074F05A0000003089000"}, {"00FD000000", "0504039000"}, {"00CB3FFF055C035FC10200", "6A82"},
			{"0087039B047C02800000", "7C0A80080102030405060708" + "9000"}, {"0047009A05AC0380011100", "7F49009000"},
			{"10DB3FFF02" + "5C03", "9000"}, {"00DB3FFF02" + "5FC1", "9000"}, {"00FFFFFF03" + "03" + "9B" + "18", "9000"}}},
		{"a passport (ICAO 9303-11, 4.3)", []exchange{
			{"00A4040C07A0000002471001", "9000"}, {"0084000008", "01020304050607089000"}, {"0082000028" + strings.Repeat("00", 40) + "28", strings.Repeat("00", 40) + "9000"},
			{"0CA4020C158709" + strings.Repeat("00", 9) + "8E08" + strings.Repeat("00", 8) + "00", "990290008E0801020304050607089000"},
			{"0CB000000D9701048E08" + strings.Repeat("00", 8) + "00", "87099000"}}},
	} {
		t.Run(tt.name, func(t *testing.T) { play(t, access.NewGuard(access.User), tt.exchanges) })
	}
}

// TestUseOnChannels: a user with a key of a PIV card does on every logical
// channel what he does on the basic one, and the software SE, which he cannot
// manage, lets him.
func TestUseOnChannels(t *testing.T) {
	for _, t0 := range []bool{false, true} {
		card, err := pivwalk.NewBrain(t0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := card.PowerOn(t.Context()); err != nil {
			t.Fatal(err)
		}
		guard := access.NewGuard(access.User)
		send := func(ctx context.Context, command []byte) ([]byte, error) {
			c, err := apdu.Parse(command)
			if err != nil {
				return nil, err
			}
			if err := guard.Check(c); err != nil {
				return nil, err
			}
			answer, err := card.Transmit(ctx, command)
			if err != nil {
				return nil, err
			}
			r, err := apdu.ParseResponse(answer)
			guard.Note(c, r)
			return answer, err
		}
		for n := range 4 {
			if n > 0 {
				open := []byte{0x00, apdu.INSManageChannel, 0x00, byte(n), 0x00}
				if answer, err := send(t.Context(), open[:4]); err != nil || !bytes.HasSuffix(answer, []byte{0x90, 0x00}) {
					t.Fatalf("channel %d: %X, %v", n, answer, err)
				}
			}
			onChannel := func(ctx context.Context, command []byte) ([]byte, error) {
				command = bytes.Clone(command)
				command[0] = apdu.OnChannel(command[0], n)
				return send(ctx, command)
			}
			if err := pivwalk.Walk(t.Context(), onChannel); err != nil {
				t.Errorf("T=0 %v, channel %d: %v", t0, n, err)
			}
			var refusal *access.Refusal
			if _, err := onChannel(t.Context(), unhex("80E60C0000")); !errors.As(err, &refusal) {
				t.Errorf("channel %d: INSTALL: %v, want a refusal", n, err)
			}
		}
		if err := card.Close(); err != nil {
			t.Error(err)
		}
	}
}
