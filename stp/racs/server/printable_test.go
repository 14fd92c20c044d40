package server

import (
	"strings"
	"testing"
)

// What is told of an error is one line that moves nothing on a terminal.
func TestPrintable(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"soft1: größer\ntwo\tthree", "soft1: größer; two three"},
		{"\u009b2J\x9b\u202ex\x00", `\u009b2J\x9b\u202ex\x00`},
		{strings.Repeat("é", tail), strings.Repeat("é", tail/4)},
		{"x" + strings.Repeat("é", tail), "x" + strings.Repeat("é", tail/4-1)},
	} {
		if got := printable(tt.text); got != tt.want {
			t.Errorf("%.40q: got %.60q of %d bytes, want %.60q of %d", tt.text, got, len(got), tt.want, len(tt.want))
		}
	}
}
