package pcsc

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/cloud-of-se/tses/apdu"
	"github.com/cloud-of-se/tses/drivers"
)

func TestSendT0(t *testing.T) {
	ff := func(n int) string { return strings.Repeat("FF", n) }
	tests := []struct {
		name, command, want string
		dialogue            []string // TPDU, answer, TPDU, answer
	}{
		{"case 1", "00D00000", "9000", []string{"00D0000000", "9000"}},
		{"case 2", "00B0000005", "6C03", []string{"00B0000005", "6C03"}},
		{"case 2, 256", "00B0000000", "6105", []string{"00B0000000", "6105"}},
		{"case 3", "00D6000002ABCD", "9000", []string{"00D6000002ABCD", "9000"}},
		{"case 3, 255", "00D60000FF" + ff(255), "9000", []string{"00D60000FF" + ff(255), "9000"}},
		{"case 4", "00A4040002ABCD00", "6110", []string{"00A4040002ABCD", "6110"}},
		{"case 2 extended, short enough", "00B00000000005", "01020304059000", []string{"00B0000005", "01020304059000"}},
		{"case 2 extended", "00B00000000003", "0102039000", []string{"00B0000003", "6C02", "00B0000002", "01026101", "00C0000001", "039000"}},
		{"case 2 extended, 6C twice", "00B00000000003", "6C01", []string{"00B0000003", "6C02", "00B0000002", "6C01"}},
		{"case 3 extended, short enough", "00D60000000002ABCD", "9000", []string{"00D6000002ABCD", "9000"}},
		{"case 3 extended", "00D60000000100" + ff(256), "9000", []string{
			"00C20000FF" + "00D60000000100" + ff(248), "9000", "00C2000008" + ff(8), "9000"}},
		{"case 3 extended, no ENVELOPE", "00D60000000100" + ff(256), "6D00", []string{"00C20000FF" + "00D60000000100" + ff(248), "6D00"}},
		{"case 4 extended", "01A40400000002ABCD0000", "010203049000", []string{"01A4040002ABCD", "6104", "01C0000004", "010203049000"}},
		{"case 4 extended, Ne", "A0A40400000001AB0002", "01026102", []string{"A0A4040001AB", "6104", "A0C0000002", "01026102"}},
		{"case 4 extended, ENVELOPE", "00E00000000100" + ff(256) + "0000", "AB9000", []string{
			"00C20000FF" + "00E00000000100" + ff(248), "9000", "00C200000A" + ff(8) + "0000", "6101", "00C0000001", "AB9000"}},
		{"nothing comes", "00A40400000002ABCD0000", "6A82", []string{"00A4040002ABCD", "6104", "00C0000004", "6A82"}},
		{"no APDU", "00A404", "", nil},
	}
	for _, tt := range tests {
		dialogue := tt.dialogue
		got, err := sendT0(unhexed(t, tt.command), func(tpdu []byte) ([]byte, error) {
			if len(dialogue) == 0 || !strings.EqualFold(hex.EncodeToString(tpdu), dialogue[0]) {
				t.Fatalf("%s: sent %X, want %.1q", tt.name, tpdu, dialogue)
			}
			answer := unhexed(t, dialogue[1])
			dialogue = dialogue[2:]
			return answer, nil
		})
		if !strings.EqualFold(hex.EncodeToString(got), tt.want) || (err != nil) != (tt.want == "") || len(dialogue) > 0 {
			t.Errorf("%s: got %X, %v, want %s; not sent: %q", tt.name, got, err, tt.want, dialogue)
		}
	}
}

func unhexed(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// An error tells whether the card may have executed the command: it has had the
// whole of it. Of the TPDU that failed, its own error tells.
func TestSendT0Fails(t *testing.T) {
	long := append(unhexed(t, "00E00000000100"), make([]byte, 258)...)
	for _, tt := range []struct {
		name    string
		command []byte
		answers []string // before the error
		unknown bool
	}{
		{"short", unhexed(t, "00B0000005"), nil, false},
		{"first part", long, nil, false},
		{"last part", long, []string{"9000"}, false},
		{"short enough", unhexed(t, "00A40400000002ABCD0000"), nil, false},
		{"data", long, []string{"9000", "6110"}, true},
		{"data of a short enough one", unhexed(t, "00A40400000002ABCD0000"), []string{"6110"}, true},
	} {
		pulled := errors.New("pulled")
		_, err := sendT0(tt.command, func([]byte) ([]byte, error) {
			if len(tt.answers) == 0 {
				return nil, pulled
			}
			answer := unhexed(t, tt.answers[0])
			tt.answers = tt.answers[1:]
			return answer, nil
		})
		if !errors.Is(err, pulled) || errors.Is(err, drivers.ErrOutcomeUnknown) != tt.unknown {
			t.Errorf("%s: %v; want %v, outcome unknown %v", tt.name, err, pulled, tt.unknown)
		}
	}
}

// Every TPDU has a header of five bytes and its data, whatever the command and
// the card say, and the dialogue ends.
func FuzzSendT0(f *testing.F) {
	f.Add(unhexed(f, "00A4040002ABCD00"), []byte{0x61, 0x10})
	f.Add(unhexed(f, "00B00000000000"), []byte{1, 2, 3, 0x61, 0x00})
	f.Add(append(unhexed(f, "00E00000000100"), make([]byte, 258)...), []byte{0x90, 0x00})
	f.Fuzz(func(t *testing.T, command, answer []byte) {
		before := bytes.Clone(command)
		sent := 0
		_, err := sendT0(command, func(tpdu []byte) ([]byte, error) {
			sent++
			if sent > 2*65536+300 {
				t.Fatal("it does not end")
			}
			if len(tpdu) < 5 || len(tpdu) > 5 && int(tpdu[4]) != len(tpdu)-5 {
				t.Fatalf("TPDU %X", tpdu)
			}
			return bytes.Clone(answer), nil
		})
		if !bytes.Equal(command, before) {
			t.Error("the command was written to")
		}
		if _, bad := apdu.Parse(command); bad != nil && (err == nil || sent > 0) {
			t.Errorf("%X is no APDU, and %d TPDUs were sent", command, sent)
		}
	})
}
