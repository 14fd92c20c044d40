package pcsc

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/cloud-of-se/tses/apdu"
)

func TestForT0(t *testing.T) {
	data := strings.Repeat("AB", 255)
	tests := []struct{ name, command, want string }{
		{"case 1", "00A40400", "00a4040000"},
		{"case 2", "00B0000005", "00b0000005"},
		{"case 2, 256", "00B0000000", "00b0000000"},
		{"case 2 extended, short enough", "00B00000000005", "00b0000005"},
		{"case 2 extended", "00B00000000000", "00b0000000"},
		{"case 3", "00D6000002ABCD", "00d6000002abcd"},
		{"case 3 extended, short enough", "00D60000000002ABCD", "00d6000002abcd"},
		{"case 3, 255", "00D60000FF" + data, "00d60000ff" + strings.ToLower(data)},
		{"case 4", "00A4040002ABCD00", "00a4040002abcd"},
		{"case 4 extended", "00A40400000002ABCD0000", "00a4040002abcd"},
		{"too long", "00D60000000100" + data + "AB", ""},
		{"no APDU", "00A404", ""},
	}
	for _, tt := range tests {
		command, err := hex.DecodeString(tt.command)
		if err != nil {
			t.Fatal(err)
		}
		got, err := forT0(command)
		if hex.EncodeToString(got) != tt.want || (err != nil) != (tt.want == "") {
			t.Errorf("%s: got %X, %v, want %s", tt.name, got, err, tt.want)
		}
	}
}

// Every command is refused or becomes a header of five bytes with exactly its
// data, and what was given is not touched.
func FuzzForT0(f *testing.F) {
	for _, seed := range []string{"00A40400", "00B0000000", "00A4040002ABCD00", "00D60000000002ABCD"} {
		b, err := hex.DecodeString(seed)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, command []byte) {
		before := string(command)
		got, err := forT0(command)
		if string(command) != before {
			t.Fatal("the command was written to")
		}
		if err != nil {
			return
		}
		c, err := apdu.Parse(command)
		if err != nil {
			t.Fatalf("%X is mapped and no APDU", command)
		}
		if string(got[5:]) != string(c.Data) || string(got[:4]) != before[:4] {
			t.Errorf("%X became %X", command, got)
		}
		if len(c.Data) > 0 && int(got[4]) != len(c.Data) {
			t.Errorf("%X: P3 is %02X", got, got[4])
		}
	})
}
