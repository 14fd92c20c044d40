package apdu

import (
	"fmt"
	"strings"
)

// Describe says what the answer to reset means to a user, a fact a line, with
// a newline behind each.
func (a ATR) Describe() string {
	var s strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&s, "%-16s %s\n", name, fmt.Sprintf(format, args...))
	}
	line("ATR", "%s", a)
	line("convention", "%s", a.convention())
	line("protocols", "%s", a.protocolWords())
	line("rate", "%s", a.Rate())
	line("guard time", "%s", a.guardWords())
	a.describeProtocols(line)
	if ta := a.first(15).TA; ta.Present {
		line("supply", "%s", classWords(a.Classes()))
		line("clock stop", "%s", a.ClockStop())
	}
	if len(a.Historical) > 0 {
		line("historical", "%X", a.Historical)
		describeHistorical(line, a.Historical)
	}
	return s.String()
}

func (a ATR) convention() string {
	if a.Inverse {
		return "inverse"
	}
	return "direct"
}

type lineFunc func(name, format string, args ...any)

func (a ATR) protocolWords() string {
	var words []string
	for _, t := range a.Protocols() {
		words = append(words, fmt.Sprintf("T=%d", t))
	}
	all := strings.Join(words, ", ")
	mode, ok := a.Specific()
	switch {
	case !ok:
		return all + ", negotiable mode"
	case mode.Fixed:
		return fmt.Sprintf("%s, specific mode T=%d", all, mode.T)
	}
	return fmt.Sprintf("%s, specific mode T=%d, a warm reset may change it", all, mode.T)
}

// String is "Fi 512, Di 32 (16 clocks per etu), at most 5 MHz".
func (r Rate) String() string {
	if r.Fi == 0 || r.Di == 0 {
		return "a reserved code"
	}
	return fmt.Sprintf("Fi %d, Di %d (%.4g clocks per etu), at most %g MHz", r.Fi, r.Di, float64(r.Fi)/float64(r.Di), float64(r.FMax)/1e6)
}

func (a ATR) guardWords() string {
	if n := a.ExtraGuardTime(); n != 255 {
		return fmt.Sprintf("%d etu extra", n)
	}
	return "the shortest of the protocol"
}

func (a ATR) describeProtocols(line lineFunc) {
	if a.Offers(0) {
		line("T=0", "WI %d", a.T0WI())
	}
	if a.Offers(1) {
		p := a.T1()
		edc := "LRC"
		if p.CRC {
			edc = "CRC"
		}
		line("T=1", "IFSC %d, CWI %d, BWI %d, %s", p.IFSC, p.CWI, p.BWI, edc)
	}
}

func classWords(classes byte) string {
	var words []string
	for i, w := range []string{"A (5 V)", "B (3 V)", "C (1.8 V)"} {
		if classes&(1<<i) != 0 {
			words = append(words, w)
		}
	}
	if words == nil {
		return "a reserved class"
	}
	return "class " + strings.Join(words, ", ")
}

func describeHistorical(line lineFunc, b []byte) {
	h, err := ParseHistorical(b)
	if err != nil {
		line("", "not readable: %v", err)
		return
	}
	if h.Category != 0x00 && h.Category != 0x80 {
		line("", "category %02X, proprietary %q", h.Category, printable(h.Proprietary))
	}
	for _, o := range h.Objects {
		line("", "4%X: %X", o.Tag, o.Value)
	}
	if c, ok := h.Capabilities(); ok {
		line("capabilities", "%s", c)
	}
	if st, ok := h.Status(); ok && st.HasLifeCycle {
		line("life cycle", "%02X", st.LifeCycle)
	}
	if st, ok := h.Status(); ok && st.HasSW {
		line("status", "%s", st.SW)
	}
}

// printable keeps what is ASCII text; a dot stands for any other byte.
func printable(b []byte) string {
	text := make([]byte, len(b))
	for i, v := range b {
		text[i] = '.'
		if v >= 0x20 && v < 0x7F {
			text[i] = v
		}
	}
	return string(text)
}

// String says what the card can do: "extended length, 4 logical channels".
func (c CardCapabilities) String() string {
	var words []string
	add := func(table, bit byte, word string) {
		if table&bit != 0 {
			words = append(words, word)
		}
	}
	add(c.Selection, SelectByFullName, "selection by full name")
	add(c.Selection, SelectByPartialName, "by partial name")
	add(c.Selection, SelectByPath, "by path")
	add(c.Selection, SelectByFileID, "by file identifier")
	add(c.Selection, SelectImplicitly, "implicitly")
	add(c.Features, CommandChaining, "command chaining")
	add(c.Features, ExtendedLength, "extended length")
	if n := c.Channels(); n > 1 {
		words = append(words, fmt.Sprintf("%d logical channels", n))
	}
	if words == nil {
		return "none told"
	}
	return strings.Join(words, ", ")
}
