package cardvm

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestInitrd reads an archive back: folders stand before what is in them, and
// everything begins at a multiple of four bytes.
func TestInitrd(t *testing.T) {
	raw := initrd([]byte("program"), map[string][]byte{"state/keys/a": []byte("key"), "tses.toml": nil})
	var got []string
	for rest := string(raw); rest != ""; {
		var magic, size, length, ignored int
		var mode uint32
		fields := []any{&magic, &ignored, &mode, &ignored, &ignored, &ignored, &ignored, &size, &ignored, &ignored, &ignored, &ignored, &length, &ignored}
		if _, err := fmt.Sscanf(rest, "%6d"+strings.Repeat("%8x", 13), fields...); err != nil || magic != 70701 {
			t.Fatalf("header %.110q: %v", rest, err)
		}
		name, content := 110, round(110+length)
		got = append(got, fmt.Sprintf("%o %s %s", mode, rest[name:name+length-1], rest[content:content+size]))
		rest = rest[round(content+size):]
	}
	want := []string{
		"40700 dev ", "20666 dev/null ", "100700 init program",
		"40700 state ", "40700 state/keys ", "100600 state/keys/a key", "100600 tses.toml ", "0 TRAILER!!! ",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func round(n int) int { return (n + 3) / 4 * 4 }
