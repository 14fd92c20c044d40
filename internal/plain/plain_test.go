package plain

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

var texts = []struct{ name, text, want string }{
	{"nothing", "", ""},
	{"plain", "sim1: größer als 0\tund \\ 中 é", "sim1: größer als 0\tund \\ 中 é"},
	{"escape", "\x1b]0;owned\x07\x1b[2J", `\x1b]0;owned\x07\x1b[2J`},
	{"control", "a\rb\x00c\x7f", `a\x0db\x00c\x7f`},
	{"C1", "a\u009b2Jb", `a\u009b2Jb`},
	{"C1 in eight bits", "a\x9b2Jb", `a\x9b2Jb`},
	{"bidirectional", "a\u202eb\u2066c\u200f", `a\u202eb\u2066c\u200f`},
	{"invisible", "a\u200bb\u3164c\ufeffd\U000e0041e", `a\u200bb\u3164c\ufeffd\U000e0041e`},
	{"line ends that are none", "a\u2028b\u0085c", `a\u2028b\u0085c`},
	{"no UTF-8", "a\xc3(\xed\xa0\x80", `a\xc3(\xed\xa0\x80`},
	{"the replacement", "a\ufffdb", `a\ufffdb`},
}

func TestText(t *testing.T) {
	for _, tt := range texts {
		if got := Text(tt.text); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
	if got, want := Text("one\ntwo"), `one\x0atwo`; got != want {
		t.Errorf("two lines: got %q, want %q", got, want)
	}
}

func TestShort(t *testing.T) {
	for _, tt := range []struct {
		text string
		most int
		want string
	}{
		{"abc", 3, "abc"},
		{"abcd", 3, "abc … 1 bytes more"},
		{"aéb", 2, "a … 3 bytes more"},
		{"\xbf\xbf\xbf\xbf\xbf", 4, " … 5 bytes more"}, // no rune begins there
		{strings.Repeat("\x1b", 60<<10), 2, `\x1b\x1b … 61438 bytes more`},
	} {
		if got := Short(tt.text, tt.most); got != tt.want {
			t.Errorf("%.20q: got %q, want %q", tt.text, got, tt.want)
		}
	}
}

func TestWriter(t *testing.T) {
	for _, tt := range append(texts, struct{ name, text, want string }{"lines", "BEGIN\r\n\rEND\n\r", "BEGIN\r\n\\x0dEND\n\\x0d"}) {
		for size := 1; size < 6; size++ {
			var b strings.Builder
			w := NewWriter(&b)
			for text := []byte(tt.text); len(text) > 0; {
				n := min(size, len(text))
				if got, err := w.Write(text[:n]); got != n || err != nil {
					t.Fatal(got, err)
				}
				text = text[n:]
			}
			if err := w.Flush(); err != nil {
				t.Fatal(err)
			}
			if b.String() != tt.want {
				t.Errorf("%s, %d bytes at a time: got %q, want %q", tt.name, size, b.String(), tt.want)
			}
		}
	}
}

// Whatever comes in, what goes out moves nothing on a terminal.
func FuzzPlain(f *testing.F) {
	for _, tt := range texts {
		f.Add(tt.text, 3)
	}
	f.Fuzz(func(t *testing.T, s string, most int) {
		most = min(max(most, 1), 100)
		for _, got := range []string{Text(s), Short(s, most)} {
			if !utf8.ValidString(got) {
				t.Errorf("%q: no UTF-8", got)
			}
			for _, r := range got {
				if r != '\t' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r)) {
					t.Errorf("%q holds %U", got, r)
				}
			}
		}
		if got := Short(s, most); len(got) > 4*most+40 {
			t.Errorf("%d bytes of at most %d", len(got), most)
		}
		var b strings.Builder
		w := NewWriter(&b)
		if _, err := w.Write([]byte(s)); err != nil || w.Flush() != nil {
			t.Fatal(err)
		}
		got := strings.NewReplacer("\r\n", "", "\n", "", "\t", "").Replace(b.String())
		if strings.ContainsFunc(got, unicode.IsControl) {
			t.Errorf("the writer passes %q on", got)
		}
	})
}
