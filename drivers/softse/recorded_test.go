package softse

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

// earlierCard is a card as earlier versions of this package made them and kept
// them on disk: its test keys are set 30, not the factory's set FF.
func earlierCard(t *testing.T) *Card {
	t.Helper()
	store := &memory{}
	opts := DefaultOpts()
	opts.Store = store
	newCard(t, opts)
	now, then := []byte("\x01\xFF\x00\x00\x00\x10\x40\x41"), []byte("\x01\x30\x00\x00\x00\x10\x40\x41")
	if n := bytes.Count(store.state, now); n != 1 {
		t.Fatalf("the factory's key set is %d times in the state", n)
	}
	store.state = bytes.Replace(store.state, now, then, 1)
	return newCard(t, opts)
}

// TestRecordedHost sends again what another host's implementation of SCP03
// and of the management commands sent, in S8 and S16 and at every level. The
// challenges are pseudo-random, so a card with the same keys must give the same
// answers, protection included. The recording is of a time when a fresh card's
// keys were set 30.
func TestRecordedHost(t *testing.T) {
	text, err := os.ReadFile("testdata/globalplatformpro.txt")
	if err != nil {
		t.Fatal(err)
	}
	c := earlierCard(t)
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
