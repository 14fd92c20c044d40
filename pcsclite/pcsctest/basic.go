//go:build unix

package pcsctest

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// Basic runs the programs that work with any card which answers 9000 to
// SELECT without a name. atr is the card's.
func Basic(t *testing.T, g Target, atr []byte) {
	t.Run("opensc-tool", func(t *testing.T) { openscTool(t, g, atr) })
	t.Run("pcsc_scan", func(t *testing.T) { pcscScan(t, g, atr) })
	t.Run("scriptor", func(t *testing.T) { scriptor(t, g) })
}

func openscTool(t *testing.T, g Target, atr []byte) {
	tool := Need(t, "opensc-tool", "opensc")
	g.want(t, []string{"Yes", g.Reader}, "", tool, "-l")
	g.want(t, []string{hex(atr, ":", false)}, "", tool, "-r", g.Reader, "-a")
	g.want(t, []string{"SW1=0x90, SW2=0x00"}, "", tool, "-r", g.Reader, "-c", "default", "-s", "00:A4:04:00:00")
}

// pcsc_scan does not end by itself.
func pcscScan(t *testing.T, g Target, atr []byte) {
	scan := Need(t, "pcsc_scan", "pcsc-tools")
	out, err := g.Run(t, 3*time.Second, "", scan, "-n")
	if err == nil {
		t.Errorf("it ended before its time")
	}
	contains(t, out, []string{g.Reader, "Card inserted", "ATR: " + hex(atr, " ", true)})
}

func scriptor(t *testing.T, g Target) {
	program := Need(t, "scriptor", "pcsc-tools")
	out := g.want(t, nil, "00 A4 04 00 00\nreset\n00 A4 04 00 00\n", program, "-r", g.Reader)
	if got := strings.Count(out, "Normal processing"); got != 2 {
		t.Errorf("%d of 2 commands were answered 9000:\n%s", got, out)
	}
}

func hex(b []byte, between string, upper bool) string {
	s := fmt.Sprintf("%x", b)
	var parts []string
	for ; s != ""; s = s[2:] {
		parts = append(parts, s[:2])
	}
	if s = strings.Join(parts, between); upper {
		return strings.ToUpper(s)
	}
	return s
}
