package softse

import (
	"os"
	"strings"
	"testing"
)

// TestRecordedHost sends again what another host's implementation of SCP03
// and of the management commands sent, in S8 and S16 and at every level. The
// challenges are pseudo-random, so a fresh card must give the same answers,
// protection included.
func TestRecordedHost(t *testing.T) {
	text, err := os.ReadFile("testdata/globalplatformpro.txt")
	if err != nil {
		t.Fatal(err)
	}
	c := newCard(t, DefaultOpts())
	n := 0
	for _, line := range strings.Split(string(text), "\n") {
		command, want, found := strings.Cut(line, " ")
		if !found || command == "#" {
			continue
		}
		got := send(t, c, command)
		if strings.HasPrefix(command, "8050") && len(got) > 20 {
			got, want = got[20:], want[20:]
		}
		if got != want {
			t.Fatalf("%s: got %s, want %s", command, got, want)
		}
		n++
	}
	if n != 130 {
		t.Errorf("%d commands, want 130", n)
	}
}
