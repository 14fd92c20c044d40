package access

import (
	"strings"
	"testing"
)

func TestCheckServerName(t *testing.T) {
	for name, want := range map[string]bool{
		"tses.example": true, "localhost": true, "TSES-1.local": true, "*.example": true, "a_b.example": true, "192.0.2.1": true, "2001:db8::1": true, "xn--bcher-kva.example": true,
		"": false, "a b": false, "https://x.y": false, "x.y:7777": false, "a..b": false, "-a.example": false, "a.*.example": false, "*": false, "bücher.example": false, "[::1]": false, "a.example.": false,
		strings.Repeat("a", 63) + ".b": true, strings.Repeat("a", 64) + ".b": false, strings.Repeat("a.", 127) + "b": false,
	} {
		if got := CheckServerName(name); (got == nil) != want {
			t.Errorf("%q: %v, want it taken: %v", name, got, want)
		}
	}
}
